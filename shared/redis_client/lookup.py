"""The state of the servers of a topology, kept up to date by one thread per process, for all its clients."""

import logging
import os
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, Final

from shared.redis_client.slots import Address
from shared.redis_client.topology import Sentinels, Topology

logger = logging.getLogger(__name__)

# Seconds from one refresh to the next, and those that pass at least. A change of a Cluster shows in its
# replies, so there a refresh is asked for. Sentinels are asked all the time: a primary that was cut off does
# not know.
_SENTINELS: Final = (0.25, 0.25)
_CLUSTER: Final = (10.0, 1.0)

# By their topologies, while a client uses them.
_lookups: "weakref.WeakValueDictionary[Topology, Lookup]" = weakref.WeakValueDictionary()
_opening = threading.Lock()


class Lookup:
    """The servers in use. It ends when nobody refers to it any more.

    Attributes:
        known: what `Topology.ask` returned last; None before the first time.
        listeners: called in the thread with each new value.
    """

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self.known: Any = None
        self.listeners: set[Callable[[Any], None]] = set()
        self._asking = threading.Lock()
        self._wanted = threading.Event()

    def get(self) -> Any:
        """The known state; the servers are asked if there is none. Raises OSError."""
        if self.known is None:
            with self._asking:
                if self.known is None:
                    self.known = self.topology.ask()
                    self._start()
        return self.known

    def primary(self) -> Address:
        """The primary of clients that use one server. Raises OSError."""
        return self.topology.primary(self.get())

    def refresh_soon(self) -> None:
        """Ask the servers again, in the thread."""
        self._wanted.set()

    def refresh(self) -> None:
        """Ask the servers again, and tell the listeners what has changed."""
        try:
            found = self.topology.ask(self.known)
        except OSError as error:
            logger.debug("The last known servers of Redis are used, because %s.", error)
            return
        if found != self.known:
            self.known = found
            for listener in tuple(self.listeners):
                listener(found)

    def _start(self) -> None:
        every, pause = _SENTINELS if isinstance(self.topology, Sentinels) else _CLUSTER
        arguments = weakref.ref(self), self._wanted, every, pause
        threading.Thread(target=_keep, args=arguments, name="servers of Redis", daemon=True).start()


def _keep(reference: "weakref.ref[Lookup]", wanted: threading.Event, every: float, pause: float) -> None:
    while True:
        wanted.wait(every)
        wanted.clear()
        lookup = reference()
        if lookup is None:
            return
        lookup.refresh()
        del lookup
        time.sleep(pause if every > pause else 0)


def lookup_of(topology: Topology) -> Lookup:
    """The lookup that all clients of this process share."""
    with _opening:
        found = _lookups.get(topology)
        if found is None:
            found = _lookups[topology] = Lookup(topology)
        return found


# The threads do not live on in a child process.
os.register_at_fork(after_in_child=_lookups.clear)
