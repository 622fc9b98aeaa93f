"""The use of models by requests, and its price."""
