"""Limits while Redis does not answer."""
