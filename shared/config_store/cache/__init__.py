"""Compiled tenants as a worker of the proxy keeps them."""
