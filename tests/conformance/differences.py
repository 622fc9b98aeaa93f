"""The rows of this suite that an engine does not pass, and what it does instead.

`docs/reference/engines.md` lists them; `python -m tests.conformance.page` writes that part of the page. A test
that has a row here asserts what the engine does instead: nothing is skipped.
"""

from dataclasses import dataclass

from tests.conformance.fault_rows import CUTS
from tests.conformance.head_rows import CHUNKS

STOCK = "mitmproxy"
EXPRESS = "express"
ENGINES = (EXPRESS, STOCK)

# Behavior that more than one test asserts.
TAKEN = "They are removed, and the request is forwarded in its normalized form."
CUT = "The connection is closed without a response. Nothing is forwarded."
WAITS = "No response is sent until the chunk is complete. Nothing is forwarded."


@dataclass(frozen=True)
class Difference:
    """A promise that an engine does not keep.

    `row` is the test's name for the promise. `topic` is the row of the page's table that announces it.
    `instead` is a sentence: what a client or an upstream sees.
    """

    engine: str
    row: str
    topic: str
    instead: str


def _stock(topic: str, instead: str, *rows: str) -> tuple[Difference, ...]:
    return tuple(Difference(STOCK, row, topic, instead) for row in rows)


_OTHER_CHUNKS = (
    "a bare CR in a chunk extension",
    "a NUL in a chunk extension",
    "a chunk size of 17 digits",
)
DIFFERENCES: tuple[Difference, ...] = (
    *_stock(
        "white space around the parts of a request line, control characters (VT, FF, CR) around a field value",
        TAKEN,
        "a space before the line",
        "a tab in the line",
        "a bare CR before CRLF",
        "chunked behind a control character",
    ),
    *_stock("chunk extensions", TAKEN, *_OTHER_CHUNKS[:2]),
    *_stock(
        "malformed chunks",
        CUT,
        *(row.name for row in CHUNKS if row.name not in _OTHER_CHUNKS),
    ),
    *_stock("malformed chunks", WAITS, _OTHER_CHUNKS[2]),
    *_stock(
        "chunked trailers, in either direction",
        "No response is sent. Nothing is forwarded.",
        "trailers of a request",
    ),
    *_stock("chunked trailers, in either direction", "The response never ends.", "trailers of a response"),
    *_stock(
        "early responses, `Expect`, the 64 KiB limit for clients without a key",
        "The client gets 100 first, and 401 after the body.",
        "a 401 without a 100",
    ),
    *_stock(
        "early responses, `Expect`, the 64 KiB limit for clients without a key",
        "The connection may end, or hang, while the client still sends.",
        "a 413 for a client that reads late",
    ),
    *_stock(
        "early responses, `Expect`, the 64 KiB limit for clients without a key",
        "The response is sent after the request body was received.",
        "a response before the body",
        "a caller without a key is rejected before its body",
    ),
    *_stock(
        "request bodies that no plugin reads",
        "The upstream gets the request once its body is complete.",
        "an upload that flows to its upstream",
    ),
    *_stock(
        "request bodies that no plugin reads",
        "The response is sent after the request body was received.",
        "a response of the upstream during an upload",
    ),
    *_stock("a limit on pipelined requests", "All are served, in order.", "the 33rd unanswered request"),
    *_stock(
        "an empty line before a request",
        "The request is served when the next bytes arrive.",
        "an empty line before a request",
    ),
    *_stock(
        "a TLS ClientHello on the plain-text port",
        "The connection stays open until a line is complete. Nothing is forwarded.",
        "a TLS hello on the plain port",
    ),
    *_stock(
        "interim responses (1xx) of an upstream",
        "The response is 502 `upstream_protocol_error`.",
        "interim responses of an upstream",
    ),
    *_stock(
        "drain, several workers, pooled upstream connections, connection limits",
        "The response is 502. The request is not sent again.",
        "an idempotent request whose reused connection died",
    ),
    *_stock(
        "drain, several workers, pooled upstream connections, connection limits",
        "Each client has upstream connections of its own.",
        "clients share connections to an upstream",
    ),
    *_stock(
        "drain, several workers, pooled upstream connections, connection limits",
        "They share the upstream connection of that client.",
        "two tenants on one connection of a client",
    ),
    *_stock(
        "`Connection: close` from an upstream",
        "The connection is reused until the upstream closes it.",
        "an upstream that sends Connection: close",
    ),
    *_stock(
        "an upstream that uses HTTP/1.0",
        "The client's connection is closed after the response.",
        "an HTTP/1.0 upstream",
    ),
    *_stock(
        "414 and 431",
        "No response is sent until the head was received.",
        "a head that never ends",
        "a request line that never ends",
    ),
    *_stock(
        "the head of an upstream's response",
        "It is forwarded unchanged.",
        "version 0.9 of a response",
        "version 1.2 of a response",
        "version 3.0 of a response",
        "a status of four digits",
        "status 600",
        "a control character in the reason",
        "a bare CR in the reason",
        "a NUL in a value of a response",
        "a control character in a value of a response",
        "a bare CR in a value of a response",
        "a folded value of a response",
        "an unknown coding of a response",
        "gzip before chunked in a response",
        "identity in a response",
        "a head of 5 MB",
        "one field of 5 MB",
        "a reason of 5 MB",
    ),
    *_stock(
        "a body that ends when the connection closes",
        "The truncated response looks complete.",
        "without a length, reset",
        *(f"{cut.name}, for HTTP/1.0" for cut in CUTS if not cut.name.startswith("sized")),
    ),
    *_stock("slow heads and bodies, timeouts, 504", "No connection is closed.", "slow clients"),
    *_stock("slow heads and bodies, timeouts, 504", "No timeout ends the exchange.", "timeouts of upstreams"),
    *_stock(
        "slow heads and bodies, timeouts, 504",
        "They are accepted with a warning, and not enforced.",
        "timeouts of a rule",
    ),
    *_stock(
        "unbounded input: lines, chunk sizes and extensions, trailers, interim responses",
        "It is accepted without a bound.",
        "empty lines without an end",
        "a method without an end",
        "a chunk extension without an end",
        "a chunk size without an end",
        "trailers without an end",
        "one trailer without an end",
        "a head of a response without an end",
        "one field of a response without an end",
        "a status line without an end",
        "a chunk extension of a response without an end",
        "trailers of a response without an end",
        "one trailer of a response without an end",
    ),
)

_TABLE = {(each.engine, each.row): each for each in DIFFERENCES}


def instead(engine: str, row: str) -> str | None:
    """The behavior of the engine in this row in place of the promise; None when it keeps the promise."""
    found = _TABLE.get((engine, row))
    return found.instead if found else None
