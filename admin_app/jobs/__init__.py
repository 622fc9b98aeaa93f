"""What the admin process does beside requests: the jobs of the fleet, and calls of providers."""
