"""The service manager that started this program, such as systemd: its sockets, and how to notify it.

The protocols are those of sd_listen_fds(3), sd_notify(3) and sd_watchdog_enabled(3). WATCHDOG_PID is not
read: it names the first process of a service, which another one may have replaced.
"""

import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

_FIRST_DESCRIPTOR = 3
_LISTEN_PID, _LISTEN_FDS = "LISTEN_PID", "LISTEN_FDS"
_NOTIFY_SOCKET = "NOTIFY_SOCKET"
_WATCHDOG = "WATCHDOG_USEC"


@dataclass(frozen=True, slots=True)
class ServiceManager:
    """The sockets and folders that the service manager passed to this process.

    Attributes:
        descriptors: the numbers of the sockets that it opened.
        address: the unix socket on which it reads messages, if any.
        watchdog: the seconds after which it ends a service that has not said ``WATCHDOG=1``, if any.
    """

    descriptors: Sequence[int] = ()
    address: str | None = None
    watchdog: float | None = None

    def notify(self, state: str) -> None:
        """Tell it the state of this service, such as ``READY=1``. Nothing depends on the message."""
        if self.address is None:
            return
        # A name that begins with @ stands for an abstract socket, whose name begins with a zero byte.
        address = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.connect(address)
            sender.sendall(state.encode())


def parse_service_manager(environ: Mapping[str, str], process: int) -> ServiceManager:
    """Return what the environment tells the process with this id.

    Sockets that were passed to another process are left out: a program that started this one got them. Raises
    ValueError.
    """
    address = environ.get(_NOTIFY_SOCKET) or None
    watchdog = _number(environ, _WATCHDOG) / 1e6 if environ.get(_WATCHDOG) else None
    if environ.get(_LISTEN_PID) != str(process):
        return ServiceManager(address=address, watchdog=watchdog)
    end = _FIRST_DESCRIPTOR + _number(environ, _LISTEN_FDS)
    return ServiceManager(range(_FIRST_DESCRIPTOR, end), address, watchdog)


def _number(environ: Mapping[str, str], name: str) -> int:
    value = environ.get(name, "")
    if not value.isdecimal():
        raise ValueError(f"{name} must be a whole number, not {value!r}.")
    return int(value)
