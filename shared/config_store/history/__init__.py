"""The past of the configuration: its versions, and the audit log of its changes."""
