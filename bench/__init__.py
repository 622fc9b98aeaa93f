"""Measures the gateway: beside nginx and stock mitmproxy, its limiter, its plugin pipeline, its calls."""
