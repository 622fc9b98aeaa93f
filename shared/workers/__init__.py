"""What each worker of the proxy and of the admin API tells of itself in Redis, for the admin API to show."""
