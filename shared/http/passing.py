"""A body that passes in pieces: each is read or changed on its way to what sends it."""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

#: Called with each piece of a body, and with no bytes at its end. Returns what is sent: a piece, several, or
#: an awaitable of one of these.
Pass = Callable[[bytes], Any]


class Changes(Protocol):
    """Changes a body in pieces. What cannot be told yet waits for the next piece."""

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
        rest = changes.end()
        if not rest:
            return pass_on(b"")
        return _joined(pass_on(rest), pass_on)

    return passing


def _joined(first: Any, pass_on: Pass) -> Any:
    """What is sent for the rest of a stream, and then for its end."""
    if inspect.isawaitable(first):
        return _joined_later(first, pass_on)
    last = pass_on(b"")
    if inspect.isawaitable(last):
        return _after(_pieces(first), last)
    return [*_pieces(first), *_pieces(last)]


async def _joined_later(first: Awaitable[Any], pass_on: Pass) -> list[bytes]:
    sent = _pieces(await first)
    last = pass_on(b"")
    return [*sent, *_pieces(await last if inspect.isawaitable(last) else last)]


async def _after(sent: list[bytes], last: Awaitable[Any]) -> list[bytes]:
    return [*sent, *_pieces(await last)]


def _pieces(sent: Any) -> list[bytes]:
    return [sent] if isinstance(sent, bytes) else list(sent)
