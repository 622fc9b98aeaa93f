"""The benchmark: the gateway beside nginx and stock mitmproxy, in one run. See docs/benchmarks.md."""
