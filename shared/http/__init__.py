"""What HTTP means here: forwarding rules, paths, media types, codings, client addresses."""
