"""A file in a change: what it makes of the stored configuration, planned first and applied then."""
