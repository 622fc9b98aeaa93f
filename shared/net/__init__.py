"""Outgoing connections: names resolved, addresses checked, certificates verified."""
