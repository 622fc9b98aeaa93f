"""Responses that fail as a fault says."""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from examples.demo_upstream.errors import error_body
from examples.demo_upstream.exchange import Exchange
from examples.demo_upstream.faults import ERROR_STATUS, STATUSES, Fault
from examples.demo_upstream.handler import EVENTS, JSON, JsonHandler, event_bytes

_PAGE = b"<!doctype html><title>Maintenance</title><p>Please come back later."


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """The content of a response: the events of a stream, or the bytes of a document.

    Attributes:
        error: the event of a stream that fails; None for a document.
        anthropic: whether errors have Anthropic's shape.
    """

    pieces: Sequence[bytes]
    error: bytes | None = None
    anthropic: bool

    @classmethod
    def of(cls, exchange: Exchange) -> Self:
        """The content of the response to a call."""
        if not exchange.is_streamed:
            return cls.document(exchange.whole(), anthropic=exchange.anthropic)
        error = event_bytes(*exchange.error_event(ERROR_STATUS))
        pieces = [event_bytes(*event) for event in exchange.events()]
        return cls(pieces=pieces, error=error, anthropic=exchange.anthropic)

    @classmethod
    def document(cls, document: Any, *, anthropic: bool) -> Self:
        """The content of a JSON document."""
        body = json.dumps(document).encode()
        return cls(pieces=[body[place : place + 1] for place in range(len(body))], anthropic=anthropic)


def send_broken(handler: JsonHandler, content: Content, fault: Fault) -> None:
    """Respond as the fault says."""
    if fault.fail in STATUSES:
        return _send_status(handler, content, STATUSES[fault.fail], fault.retry_after)
    if fault.fail == "error" and content.error is None:
        return _send_status(handler, content, ERROR_STATUS, fault.retry_after)
    match fault.fail:
        case "silent":
            handler.wait_for_end()
        case "reset":
            handler.reset()
        case "html":
            handler.head(200, "text/html", len(_PAGE))
            handler.wfile.write(_PAGE)
        case "empty":
            handler.head(200, EVENTS if content.error else JSON, 0)
        case _:
            _send_pieces(handler, content, fault)
    return None


def _send_status(handler: JsonHandler, content: Content, status: int, retry_after: str | None) -> None:
    headers = {"Retry-After": retry_after} if retry_after is not None else {}
    handler.response(status, error_body(status, anthropic=content.anthropic), headers)


def _send_pieces(handler: JsonHandler, content: Content, fault: Fault) -> None:
    """A response that begins well."""
    is_stream, is_slow = content.error is not None, fault.fail == "slow"
    if is_stream:
        handler.head(200, EVENTS)
    else:
        handler.head(200, JSON, len(content.pieces))
    send = handler.chunk if is_stream else handler.wfile.write
    for piece in content.pieces if is_slow else content.pieces[: fault.after]:
        if is_slow:
            time.sleep(fault.wait)
        send(piece)
    if content.error and fault.fail == "error":
        handler.chunk(content.error)
    if fault.fail == "stall":
        handler.wait_for_end()
    elif fault.fail == "cut":
        handler.close_connection = True
    elif is_stream:
        handler.chunk(b"")
