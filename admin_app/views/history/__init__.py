"""The past of the configuration: versions, and the audit log."""
