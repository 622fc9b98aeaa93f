"""The heartbeats of all workers of the proxy and of the admin API in Redis, for the admin API to show."""
