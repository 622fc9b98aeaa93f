"""The rows of this suite that an engine does not pass, with what it does instead.

`docs/engine.md` shows this table; `python -m tests.conformance.page` writes it there. A test that has a row here
asserts what is done instead: nothing is skipped.
"""

from dataclasses import dataclass

STOCK = "mitmproxy"
EXPRESS = "express"

# What is done instead in more than one test.
TAKEN = "taken without them, and forwarded in the one clean form"
CUT = "the connection ends without an answer; the upstream sees nothing"
WAITS = "no answer before the chunk has come; the upstream sees nothing"


@dataclass(frozen=True)
class Difference:
    """`row` is the test's name for the promise. `topic` is the line of the first table of docs/engine.md
    that announces it. `instead` is what a client or an upstream sees.
    """

    engine: str
    row: str
    topic: str
    instead: str


def _stock(topic: str, instead: str, *rows: str) -> tuple[Difference, ...]:
    return tuple(Difference(STOCK, row, topic, instead) for row in rows)


DIFFERENCES: tuple[Difference, ...] = (
    *_stock(
        "white space around the words of a request line, control characters (VT, FF, CR) at the edges of a value",
        TAKEN,
        "a space before the line",
        "a tab in the line",
        "a bare CR before CRLF",
        "chunked behind a control character",
    ),
    *_stock("chunk extensions", TAKEN, "a bare CR in a chunk extension", "a NUL in a chunk extension"),
    *_stock(
        "chunks that cannot be read",
        CUT,
        "a chunk size that is no number",
        "an empty chunk size",
        "a chunk size with 0x",
        "a negative chunk size",
        "a chunk size with a plus",
        "a chunk size with an underscore",
        "a space before a chunk size",
        "a chunk longer than its size",
        "a chunk shorter than its size",
        "a chunk without an end",
        "a chunk that ends with CR and another byte",
        "a bare LF behind a chunk size",
        "a bare LF behind a chunk",
        "a bare LF in a chunk extension",
        "a bare LF at the end of the chunks",
    ),
    *_stock(
        "chunks that cannot be read",
        WAITS,
        "a chunk size of 17 digits",
    ),
    *_stock(
        "chunked trailers, of either side",
        "no answer; the upstream sees nothing",
        "trailers of a request",
    ),
    *_stock(
        "early answers, `Expect`, the 64 KiB bound for callers without a key",
        "100 first; the 401 comes after the body",
        "a 401 without a 100",
    ),
    *_stock(
        "a bound on requests that wait on a connection",
        "all are answered, in order",
        "the 33rd unanswered request",
    ),
    *_stock(
        "an empty line before a request",
        "the request is answered when the next bytes come",
        "an empty line before a request",
    ),
    *_stock(
        "a TLS hello on the plain port",
        "the connection waits for a line; nothing of it goes further",
        "a TLS hello on the plain port",
    ),
    *_stock(
        "chunked trailers, of either side",
        "the answer never ends",
        "trailers of an answer",
    ),
    *_stock(
        "interim answers (1xx) of an upstream",
        "502 `upstream_protocol_error`",
        "interim answers of an upstream",
    ),
    *_stock(
        "drain, several workers, a pool of upstream connections, caps on connections",
        "502; it is not sent again",
        "an idempotent request whose reused connection died",
    ),
    *_stock(
        "drain, several workers, a pool of upstream connections, caps on connections",
        "each client has connections of its own",
        "clients share connections to an upstream",
    ),
    *_stock(
        "`Connection: close` of an upstream",
        "the connection is used again until the upstream closes it",
        "an upstream that says close",
    ),
    *_stock(
        "HTTP/1.0 of an upstream",
        "the client's connection ends with the answer",
        "an HTTP/1.0 upstream",
    ),
    *_stock(
        "early answers, `Expect`, the 64 KiB bound for callers without a key",
        "the answer comes after the body",
        "an answer before the body",
        "a caller without a key is refused before its body",
    ),
    *_stock(
        "414 and 431",
        "no answer before the head has come",
        "a head that never ends",
        "a request line that never ends",
    ),
    *_stock(
        "the head of an upstream's answer",
        "passed on as it is",
        "version 0.9 of an answer",
        "version 1.2 of an answer",
        "version 3.0 of an answer",
        "a status of four digits",
        "status 600",
        "a control character in the reason",
        "a bare CR in the reason",
        "a NUL in a value of an answer",
        "a control character in a value of an answer",
        "a bare CR in a value of an answer",
        "a folded value of an answer",
        "an unknown coding of an answer",
        "gzip before chunked in an answer",
        "identity in an answer",
        "a head of 5 MB",
        "one field of 5 MB",
        "a reason of 5 MB",
    ),
    *_stock(
        "a body whose end is the end of the connection",
        "ends as if it were whole",
        "without a length, reset",
        "chunked, closed before a chunk, for HTTP/1.0",
        "chunked, closed in a size, for HTTP/1.0",
        "chunked, closed in a chunk, for HTTP/1.0",
        "chunked, closed behind a chunk, for HTTP/1.0",
        "chunked, reset behind a chunk, for HTTP/1.0",
        "chunked, half closed behind a chunk, for HTTP/1.0",
        "chunked, closed before the last line, for HTTP/1.0",
        "lines of JSON, closed behind a chunk, for HTTP/1.0",
        "chunked, then a size that is no number, for HTTP/1.0",
        "chunked, then a negative size, for HTTP/1.0",
        "chunked, then a chunk longer than its size, for HTTP/1.0",
        "chunked, with a size of 17 digits, for HTTP/1.0",
        "without a length, reset, for HTTP/1.0",
    ),
    *_stock("slow heads and bodies, timeouts, 504", "nobody is closed", "slow clients"),
    *_stock("slow heads and bodies, timeouts, 504", "nothing comes", "timeouts of upstreams"),
    *_stock(
        "slow heads and bodies, timeouts, 504",
        "taken with a warning, and not enforced",
        "timeouts of a rule",
    ),
    *_stock(
        "what never ends: lines, sizes and extensions of chunks, trailers, interim answers",
        "taken without a bound",
        "empty lines without an end",
        "a method without an end",
        "a chunk extension without an end",
        "a chunk size without an end",
        "trailers without an end",
        "one trailer without an end",
        "a head of an answer without an end",
        "one field of an answer without an end",
        "a status line without an end",
        "a chunk extension of an answer without an end",
        "trailers of an answer without an end",
        "one trailer of an answer without an end",
    ),
)

_TABLE = {(each.engine, each.row): each for each in DIFFERENCES}


def instead(engine: str, row: str) -> str | None:
    """What the engine does in this row instead of what is promised; None when it keeps the promise."""
    found = _TABLE.get((engine, row))
    return found.instead if found else None
