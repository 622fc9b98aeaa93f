"""The plugin pipeline: chains are checked when saved, planned when compiled, run per exchange."""
