"""The APIs whose bodies are known: which members are text, labels and media, and how values are read."""
