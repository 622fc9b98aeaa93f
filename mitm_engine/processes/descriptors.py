"""The limit of open files and sockets of this process, and how close the process is to it.

The kernel gives a new descriptor the lowest free number, so the number tells how many are open.
"""

import os
import resource
import sys

CEILING = 0.9  # of the descriptors are for clients, the rest for upstreams and files
# Twice the need of a worker with 10,000 connections and their upstreams. Some systems allow 2**30, and a
# program that we start would take long to close "all" of them.
_WANTED = 65_536


def raise_limit() -> None:
    """Raise the limit of this process, and of those that it starts, as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _WANTED if hard == resource.RLIM_INFINITY else min(hard, _WANTED)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def ceiling() -> int:
    """Return the lowest number that no client's socket should have."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else int(soft * CEILING)


def next_number(opened: int) -> int:
    """Return the number of the next descriptor, `sys.maxsize` if none is free. `opened` is an open one."""
    try:
        number = os.dup(opened)
    except OSError:
        return sys.maxsize
    os.close(number)
    return number
