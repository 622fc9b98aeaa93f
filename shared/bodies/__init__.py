"""Bodies of requests and responses, read in one way only."""
