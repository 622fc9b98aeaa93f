"""The rules of HTTP: forwarding, paths, media types, codings, client addresses."""
