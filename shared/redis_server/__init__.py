"""The Redis that is used: a given one, or an embedded Valkey."""
