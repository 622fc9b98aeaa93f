"""The Redis of the gateway: an external one, or an embedded Valkey."""
