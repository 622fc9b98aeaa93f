"""The place of a request in a trace (W3C Trace Context): headers ``traceparent`` and ``tracestate``.

A gateway that exports spans continues the trace of a valid ``traceparent``, and begins one for every other
request. One that exports none passes on what is valid, as it came, and drops what is not.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from shared.core.http_tokens import Fields
from shared.model.messages import Headers, encoded

#: The upstreams that get the place of a request in a trace: all; those in the operator's own networks, and
#: those of rules with `trace_headers`; none.
ALWAYS, OWN, NEVER = "always", "own", "never"
#: The most members of a ``tracestate``, and about the longest one that is passed on, in characters.
MAX_MEMBERS: Final = 32
MAX_STATE: Final = 512
# The longest member that is kept in a list that is too long.
_LONG_MEMBER: Final = 128
# The flags that are known: sampled, and random (of level 2). All others must be 0 (3.2.2.5).
_SAMPLED: Final = 0x01
_KNOWN_FLAGS: Final = 0x03

# A version after 00 may have further fields; ff is forbidden (3.2.2.1).
_PARENT: Final = re.compile(
    r"(?:00|(?!00|ff)(?P<later>[0-9a-f]{2}))-(?P<trace>(?!0{32})[0-9a-f]{32})-(?P<span>(?!0{16})[0-9a-f]{16})"
    r"-(?P<flags>[0-9a-f]{2})(?(later)(?:-.*)?)"
)
#: Matches a valid ``traceparent`` without further fields, in a header.
match_traceparent: Final = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
).fullmatch
# 3.3.1.3: a key, also with a tenant; printable characters but comma and equals sign.
_MEMBER: Final = re.compile(
    r"([a-z0-9][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
    r"=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)


class TraceContext(NamedTuple):
    """The place of a request in a trace.

    Attributes:
        trace_id: 32 hexadecimal digits.
        parent: the id of the client's span; empty: the trace begins here.
        flags: those of the trace.
        state: the ``tracestate``; empty: none.
        span: the id of the gateway's span; 0: it exports none.
    """

    trace_id: str
    parent: str = ""
    flags: int = _SAMPLED
    state: str = ""
    span: int = 0

    @property
    def is_exported(self) -> bool:
        """Whether the gateway exports spans of the request."""
        return bool(self.span and self.flags & _SAMPLED)

    def fields(self, attempt: int) -> Fields:
        """The headers for an upstream. The parent is the span of that attempt, counted from 1."""
        parent = f"{self.span + attempt:016x}" if self.span else self.parent
        context = f"00-{self.trace_id}-{parent}-{self.flags:02x}".encode()
        if not self.state:
            return ((b"traceparent", context),)
        return (b"traceparent", context), (b"tracestate", encoded(self.state))


def read_context(headers: Headers) -> TraceContext | None:
    """The trace of a client's request; None without a valid one."""
    sent = headers.all("traceparent")
    if len(sent) != 1 or (found := _PARENT.fullmatch(sent[0])) is None:
        return None
    trace, span, flags = found.group("trace", "span", "flags")
    return TraceContext(trace, span, int(flags, 16) & _KNOWN_FLAGS, trace_state(headers.all("tracestate")))


def trace_state(sent: Sequence[str]) -> str:
    """The values of ``tracestate`` as one; empty if one of them is not valid.

    >>> trace_state(["a=1 ,b=2", "", "c=3"]), trace_state(["a=1,a=2"]), trace_state(["A=1"])
    ('a=1,b=2,c=3', '', '')
    """
    members = [member for one in ",".join(sent).split(",") if (member := one.strip(" \t"))]
    keys = {found[1] for member in members if (found := _MEMBER.fullmatch(member))}
    if len(keys) < len(members) or len(members) > MAX_MEMBERS:
        return ""
    if sum(map(len, members)) + len(members) > MAX_STATE:
        members = [member for member in members if len(member) <= _LONG_MEMBER]
    while sum(map(len, members)) + len(members) > MAX_STATE:
        members.pop()
    return ",".join(members)


class Tracing:
    """Gives requests their place in a trace.

    Attributes:
        is_on: whether spans are exported.
    """

    __slots__ = ("_below", "_random_bytes", "is_on")

    def __init__(self, random_bytes: Callable[[int], bytes], share: float | None = None) -> None:
        """`share` is that of the traces begun here that are exported; None: the gateway exports no spans."""
        self.is_on = share is not None
        self._random_bytes = random_bytes
        self._below = round((share or 0.0) * 2**64)

    def context(self, headers: Headers) -> TraceContext | None:
        """The place of a request with these headers; None: it has none."""
        found = read_context(headers) if "traceparent" in headers else None
        if not self.is_on:
            return found
        random = self._random_bytes(24)
        # One bit less: the spans of attempts follow.
        span = int.from_bytes(random[16:]) >> 1
        if found is not None:
            return found._replace(span=span or 1)
        is_sampled = int.from_bytes(random[8:16]) < self._below
        return TraceContext(random[:16].hex(), flags=int(is_sampled), span=span or 1)
