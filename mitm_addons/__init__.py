"""The data plane as mitmproxy addons. `gateway` lists them in the order in which a request meets them."""
