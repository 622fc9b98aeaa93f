"""A pipelined client of Redis."""
