"""One request and its response, hook by hook."""
