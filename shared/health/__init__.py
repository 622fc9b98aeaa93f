"""What is known of targets and keys that fail: told on a channel, kept in Redis, applied in each worker."""
