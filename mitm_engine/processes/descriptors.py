"""How many files and sockets this process may open, and when they become few.

The kernel gives each new descriptor the lowest free number, so that a number tells how many are in use.
"""

import os
import resource
import sys

CEILING = 0.9  # of the descriptors, for clients; the rest is for upstreams and files
# Twice what a worker's 10,000 connections and their upstreams take. Some systems allow 2**30, for which
# programs that we start would be slow to close "all" descriptors.
_WANTED = 65_536


def raise_limit() -> None:
    """Allow this process, and those that it starts, as many descriptors as the system lets it have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _WANTED if hard == resource.RLIM_INFINITY else min(hard, _WANTED)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def ceiling() -> int:
    """The first number that no client's socket should have."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else int(soft * CEILING)


def next_number(opened: int) -> int:
    """The number that the next descriptor would get; `sys.maxsize` when there is none left.

    `opened` is any open descriptor.
    """
    try:
        number = os.dup(opened)
    except OSError:
        return sys.maxsize
    os.close(number)
    return number
