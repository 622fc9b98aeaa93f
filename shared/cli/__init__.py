"""The command `gw`: it manages a gateway from a shell, by calls of the admin API. It opens no store."""
