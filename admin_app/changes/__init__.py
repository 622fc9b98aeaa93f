"""A change of a tenant, from the request body to the next snapshot."""
