"""Requests that gunicorn's parser rejects never reach an upstream, but for those that RFC 9112 lets us read.

They are from the source package of gunicorn. Each goes as it is, and once more with a Host and a key that are
good, so that nothing but its own fault can stop it. The client stays until it has its response: a request whose
client has left is dropped, whatever it says, and so would show nothing.
"""

import contextlib
import json
import re
from pathlib import Path

from tests.conformance.differences import STOCK
from tests.conformance.wire import Wire, heads_are_clean
from tests.support.client import Ended

_LIMIT = "gunicorn's default, or a limit set for that test; ours are 8 KiB a line, 32 KiB and 100 fields"
_UNDERSCORE = "an underscore is a character of names (RFC 9110, 5.6.2); gunicorn speaks of CGI's variables"
_TRAILER = "trailers may be dropped unread (RFC 9110, 6.5.1), and are"
_FILE = Path(__file__).parents[1] / "fixtures" / "gunicorn_invalid_requests.json"
REQUESTS = {name: text.encode("latin-1") for name, text in json.loads(_FILE.read_text())["requests"].items()}
#: Requests that may be forwarded, in one clean form, and why.
ALLOWED = {
    "006": _LIMIT,
    "007": _LIMIT,
    "008": _LIMIT,
    "009": _LIMIT,
    "010": _LIMIT,
    "011": _LIMIT,
    "012": _LIMIT,
    "017": _LIMIT,
    "limit_header_default_01": _LIMIT,
    "019": "X-Forwarded-* that contradict each other are no fault of the message; ours replace them",
    "040": _UNDERSCORE,
    "chunked_07": _UNDERSCORE,
    "041": "two Content-Types are no fault of the framing; repeated headers stay repeated",
    "chunked_09": "white space before the end of a size line: RFC 9112, 7.1.1 allows it before an extension",
    "chunked_14": "the extension is dropped unread (RFC 9112, 7.1.1); gunicorn looks into it",
    "rfc9110_trailer_forbidden_cl_01": _TRAILER,
    "rfc9110_trailer_forbidden_host_01": _TRAILER,
    "rfc9110_trailer_forbidden_te_01": _TRAILER,
    "rfc9112_bare_lf_01": "a bare LF may end a line (RFC 9112, 2.2); it is forwarded as CRLF",
    "rfc9112_leading_crlf_02": "empty lines before a request may be ignored (RFC 9112, 2.2)",
}
#: An upload may begin before its end is there. This one has no end, so it must not get one.
ENDLESS = "rfc9112_chunked_missing_final_crlf_01"
UNFINISHED = {"001", ENDLESS}


def with_our_host(wire: Wire, raw: bytes) -> bytes:
    """The request under the tenant's Host and with its key."""
    key = f"Authorization: Bearer {wire.tenant.key}\r\n".encode()
    host = f"Host: {wire.tenant.host}".encode()
    if re.search(rb"\r\nHost: [^\r\n]*", raw):
        raw = re.sub(rb"\r\nHost: [^\r\n]*", b"\r\n" + host, raw, count=1)
        return raw.replace(host, host + b"\r\n" + key[:-2], 1)
    return raw.replace(b"\r\n", b"\r\n" + host + b"\r\n" + key, 1)


def send_until_judged(wire: Wire, name: str, variant: bytes) -> None:
    """Send a request. Return when the gateway has responded to it, or has ended the connection."""
    client = wire.client(variant)
    # Where no response comes, the gateway must see that nothing follows. mitmproxy's own core waits for more
    # in many of these requests, and serves a client that ends its half.
    if name in UNFINISHED or wire.engine == STOCK:
        client.half_close()
    with contextlib.suppress(Ended):
        client.response(variant.split()[0].decode("latin-1"))
    client.half_close()
    client.rest()
    client.close()


def is_let_through(wire: Wire, name: str) -> bool:
    """Whether the upstream got what it must not get. Heads that it may get are clean."""
    heads_are_clean(wire.upstream.received)
    if name == ENDLESS:
        return wire.upstream.raw.endswith(b"\r\n0\r\n\r\n")
    return name not in ALLOWED and wire.upstream.raw != b""


def test_invalid_requests_of_gunicorns_corpus_reach_no_upstream(wire: Wire) -> None:
    assert len(REQUESTS) > 70
    assert set(ALLOWED) | UNFINISHED <= set(REQUESTS)
    let_through = {}
    for name, raw in REQUESTS.items():
        for variant in (raw, with_our_host(wire, raw)):
            wire.upstream.forget()
            send_until_judged(wire, name, variant)
            if is_let_through(wire, name):
                let_through[name] = wire.upstream.raw
    assert not let_through
    wire.upstream.forget()
    wire.nothing_reached_the_upstream()
