"""Stores and limiters in memory, for tests only."""
