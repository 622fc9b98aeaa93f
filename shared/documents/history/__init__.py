"""The past of the configuration as JSON: differences of two states, versions, entries of the audit log."""
