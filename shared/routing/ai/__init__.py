"""Requests to models on their way to a target: what their bodies say, and their translation."""
