"""Machines of one kernel: network namespaces, each with one link to Redis and one to everything else.

This side has the first address of each link, the machine the second one. Servers that bind an address of this
side are reached by the machines only.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

#: The networks of the links.
REDIS, OUTSIDE = "10.198", "10.199"


@dataclass(frozen=True)
class Machine:
    """A network namespace."""

    name: str
    number: int

    @property
    def run_as(self) -> tuple[str, ...]:
        """A command that runs another one on this machine."""
        return ("ip", "netns", "exec", self.name)

    @property
    def address(self) -> str:
        """The address of the machine for clients."""
        return f"{OUTSIDE}.{self.number}.2"

    @property
    def here(self) -> str:
        """The address of this side, to be called by all machines."""
        return f"{OUTSIDE}.{self.number}.1"

    @property
    def redis(self) -> str:
        """The address of Redis for this machine."""
        return f"{REDIS}.{self.number}.1"

    def cut(self) -> None:
        """Unplug the link to Redis: no packet arrives any more, and nobody is told."""
        _ip("link", "set", f"{self.name}-r", "down")

    def mend(self) -> None:
        """Plug it in again."""
        _ip("link", "set", f"{self.name}-r", "up")

    def make(self) -> None:
        _ip("netns", "add", self.name)
        inside = ("-n", self.name)
        for link, network in (("r", REDIS), ("o", OUTSIDE)):
            outer, net = f"{self.name}-{link}", f"{network}.{self.number}"
            _ip("link", "add", outer, "type", "veth", "peer", "name", link, "netns", self.name)
            _ip("addr", "add", f"{net}.1/24", "dev", outer)
            _ip(*inside, "addr", "add", f"{net}.2/24", "dev", link)
            _ip("link", "set", outer, "up")
            _ip(*inside, "link", "set", link, "up")
        _ip(*inside, "link", "set", "lo", "up")
        _ip(*inside, "route", "add", "default", "via", f"{OUTSIDE}.{self.number}.1")

    def remove(self) -> None:
        """The links go with it, once its last process has ended."""
        _ip("netns", "del", self.name)


@contextmanager
def machines(count: int) -> Iterator[list[Machine]]:
    """So many machines. Raises RuntimeError where they cannot be made."""
    found = [Machine(f"gw{os.getpid() % 100_000}-{number}", number) for number in range(1, count + 1)]
    made: list[Machine] = []
    try:
        for machine in found:
            machine.make()
            made.append(machine)
        yield found
    finally:
        for machine in made:
            machine.remove()


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(
            "This test makes network namespaces: run it as root, where the kernel has them. "
            f"ip {' '.join(arguments)}: {done.stderr.strip()}"
        )
