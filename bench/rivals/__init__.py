"""Other proxies to compare with: nginx, HAProxy, stock mitmdump, and nginx with Lua and Redis.

The last one is built as Kong is, and does the work of the gateway's chain.
"""
