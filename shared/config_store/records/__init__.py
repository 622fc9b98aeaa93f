"""The stored data as values: their JSON, the keys and arguments of the Lua scripts, and the replies."""
