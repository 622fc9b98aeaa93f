"""The health of targets and keys: told on a channel, kept in Redis, applied in each worker."""
