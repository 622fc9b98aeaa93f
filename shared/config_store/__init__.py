"""The configuration in Redis: its layout, its store, and how the proxy reads it."""
