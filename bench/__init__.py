"""Measures the gateway: beside other proxies, its streams, bodies, growth, limiter, pipeline and calls.

`contenders` starts and places what is measured, `run` makes a whole run, `pages` writes what was found.
"""
