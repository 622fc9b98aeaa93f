"""Limits counted in Redis, by Lua scripts."""
