"""The processes of the proxy: supervisor, workers, standby, and the socket they share."""
