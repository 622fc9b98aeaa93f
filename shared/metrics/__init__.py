"""Metrics for Prometheus: their names, the series of a process, and the port where they are read.

Every folder may count: this one imports `shared.core` only.
"""
