"""Frozen values: configuration, messages, events, targets."""
