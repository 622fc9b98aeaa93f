"""Pools of upstreams: the target and the key of a call, and whether another one is tried after it fails.

Pure: time, random numbers and the number of the worker are parameters. If nothing else is said, all times are
seconds of one clock that never goes back.
"""
