"""What the proxy tells of an exchange: the access log, the last use of a key."""
