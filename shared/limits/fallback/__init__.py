"""Limits while Redis does not respond."""
