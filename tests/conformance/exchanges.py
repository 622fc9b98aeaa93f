"""Valid exchanges, made up by hypothesis: the request, the response, and the pieces of both."""

import re
from dataclasses import dataclass
from itertools import pairwise

from hypothesis import strategies as st

_TOKEN = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_VISIBLE = "".join(map(chr, (*range(0x21, 0x7F), *range(0x80, 0x100))))
# Each has a meaning of its own on the way, which its own tests hold.
_TAKEN = frozenset(
    [
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "upgrade",
        "expect",
        "via",
        "authorization",
        "proxy-authorization",
        "x-api-key",
        "api-key",
        "x-request-id",
        "date",
        "server",
        "proxy-authenticate",
        "http2-settings",
        "anthropic-version",
        "forwarded",
        "x-real-ip",
        "x-original-url",
        "x-rewrite-url",
        "content-encoding",
    ]
)
_RESERVED = ("x-gateway-", "x-tenant-", "x-consumer-", "x-forwarded", "x-ratelimit", "x-rate-limit", "rate")
_RESERVED += ("ratelimit", "anthropic-rate")
_REASONS = ["OK", "", "Not  Found", "I'm a teapot", "Ça va"]


@dataclass(frozen=True)
class Body:
    """A few bytes, over and over: large bodies that are short to print."""

    seed: bytes
    times: int

    @property
    def data(self) -> bytes:
        return self.seed * self.times


@dataclass(frozen=True)
class Request:
    """`chunks` are the sizes of a chunked body's chunks; None for a sized one. `cuts` are where it is sent apart."""

    method: str
    target: str
    fields: list[tuple[str, str]]
    body: Body
    chunks: list[int] | None
    cuts: list[int]


@dataclass(frozen=True)
class Response:
    """`framing` is sized, chunked or closed."""

    status: int
    reason: str
    fields: list[tuple[str, str]]
    body: Body
    framing: str
    chunks: list[int]
    cuts: list[int]


def _folded(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "-", name.lower())


names = st.text(_TOKEN, min_size=1, max_size=12).filter(
    lambda name: _folded(name) not in _TAKEN and not _folded(name).startswith(_RESERVED)
)
values = st.text(_VISIBLE + " \t", max_size=30).map(lambda value: value.strip(" \t"))
fields = st.lists(st.tuples(names, values), max_size=6)
targets = st.builds(
    lambda path, query: "/v1" + "".join("/" + part for part in path) + query,
    st.lists(
        st.text("abcxyz019-_.~%41:@!$&'()*+,=", min_size=1, max_size=6).filter(lambda p: "%" not in p),
        max_size=4,
    ).filter(lambda path: not {".", ".."} & {*path}),
    st.one_of(st.just(""), st.text('abc=&?/%+[]{}|"<>^`\\;:@!', max_size=20).map("?".__add__)),
)
bodies = st.builds(Body, st.binary(max_size=200), st.sampled_from([1, 1, 1, 2, 50, 2000]))
sizes = st.lists(st.integers(1, 60), min_size=1, max_size=5)
cuts = st.lists(st.floats(0, 1), max_size=4)

requests = st.builds(
    Request,
    st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"]),
    targets,
    fields,
    bodies,
    st.one_of(st.none(), sizes),
    cuts,
)
responses = st.builds(
    Response,
    st.sampled_from([200, 201, 204, 206, 302, 304, 400, 401, 404, 418, 429, 500, 503, 599]),
    st.sampled_from(_REASONS),
    fields,
    bodies,
    st.sampled_from(["sized", "chunked", "closed"]),
    sizes,
    cuts,
)
exchanges = st.lists(st.tuples(requests, responses), min_size=1, max_size=3)


def chunked(body: bytes, sizes: list[int]) -> bytes:
    """The body in chunks of these sizes, over and over; large bodies in larger ones."""
    out, place, number = [], 0, 0
    factor = 1 + len(body) // 500
    while place < len(body):
        piece = body[place : place + sizes[number % len(sizes)] * factor]
        out.append(b"%x\r\n%s\r\n" % (len(piece), piece))
        place += len(piece)
        number += 1
    return b"".join((*out, b"0\r\n\r\n"))


def apart(raw: bytes, cuts: list[float]) -> list[bytes]:
    """The bytes in pieces, cut at these parts of the whole."""
    places = [0, *sorted(int(cut * len(raw)) for cut in cuts), len(raw)]
    return [raw[start:end] for start, end in pairwise(places) if end > start]


def response_bytes(response: Response, method: str) -> bytes:
    lines = [f"HTTP/1.1 {response.status} {response.reason}", *(f"{n}: {v}" for n, v in response.fields)]
    empty = method == "HEAD" or response.status in (204, 304)
    if response.framing == "sized" and response.status != 204:
        lines.append(f"Content-Length: {len(response.body.data)}")
    elif response.framing == "chunked" and not empty:
        lines.append("Transfer-Encoding: chunked")
    elif response.framing == "closed":
        lines.append("Connection: close")
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    if empty:
        return head
    data = response.body.data
    return head + (chunked(data, response.chunks) if response.framing == "chunked" else data)
