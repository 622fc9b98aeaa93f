"""Compares what was written besides the ledger with what its rows give."""
