"""The kinds of providers and the models that a release knows."""
