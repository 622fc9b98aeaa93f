"""API keys, sealed secrets, and their redaction in logs."""
