"""API keys, sealed secrets, and what must not appear in logs."""
