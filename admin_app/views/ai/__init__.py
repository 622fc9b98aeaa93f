"""The endpoints of AI: providers with their keys, models, usage."""
