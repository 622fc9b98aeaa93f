"""A body that passes in pieces: each is read or changed on its way to what sends it."""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

#: Called with each piece of a body, and with no bytes at its end. Returns what is sent: a piece, several, or
#: an awaitable of one of these.
Pass = Callable[[bytes], Any]


class Changes(Protocol):
    """Changes a body in pieces. Bytes that cannot be judged yet wait for the next piece."""

    def feed(self, piece: bytes) -> bytes:
        """The bytes that may be sent now."""

    def end(self) -> bytes:
        """The bytes that are left, when the body has ended."""


def reading(feed: Callable[[bytes], None], pass_on: Pass) -> Pass:
    """`pass_on`, and each piece is read first."""

    def passing(piece: bytes) -> Any:
        feed(piece)
        return pass_on(piece)

    return passing


def filtered(changes: Changes, pass_on: Pass) -> Pass:
    """`pass_on`, and each piece is changed first."""

    def passing(piece: bytes) -> Any:
        if piece:
            left = changes.feed(piece)
            return pass_on(left) if left else []
        return ended(changes.end(), pass_on)

    return passing


def ended(rest: bytes, pass_on: Pass) -> Any:
    """Pass on the rest of a body, if there is any, and then its end."""
    if not rest:
        return pass_on(b"")
    first = pass_on(rest)
    if inspect.isawaitable(first):
        return _ended_later(first, pass_on)
    last = pass_on(b"")
    if inspect.isawaitable(last):
        return _after(pieces(first), last)
    return [*pieces(first), *pieces(last)]


async def _ended_later(first: Awaitable[Any], pass_on: Pass) -> list[bytes]:
    return [*pieces(await first), *await awaited(pass_on(b""))]


async def _after(sent: list[bytes], last: Awaitable[Any]) -> list[bytes]:
    return [*sent, *pieces(await last)]


def pieces(sent: Any) -> list[bytes]:
    """The pieces that a `Pass` has returned, unless they have to be awaited."""
    return [sent] if isinstance(sent, bytes) else list(sent)


async def awaited(sent: Any) -> list[bytes]:
    """The pieces that a `Pass` has returned."""
    return pieces(await sent if inspect.isawaitable(sent) else sent)
