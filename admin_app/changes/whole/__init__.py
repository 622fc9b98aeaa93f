"""A whole document in a change: that of a tenant, or of the platform, with all of its parts."""
