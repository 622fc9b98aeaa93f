"""Requests to models: which provider is called, and what the call used."""
