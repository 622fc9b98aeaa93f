"""A process and its machine: listening sockets, files in data_dir, repeated failures, and its end."""
