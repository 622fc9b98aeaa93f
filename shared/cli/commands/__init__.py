"""The commands of `gw`. Each file has those of a subject, in `COMMANDS`."""
