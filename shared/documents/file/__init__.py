"""The configuration as a file: the things of the API by their names, without ids, times and secrets."""
