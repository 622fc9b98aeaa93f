"""The values that the policy and the engine exchange about the attempts of a flow.

An attempt is one call of an upstream for a request. `attempts.py` makes them.
"""

from dataclasses import dataclass
from enum import Enum

from mitm_engine.wire_error import WireError
from shared.core.http_tokens import Fields


class HeldStep(Enum):
    """A decision about the beginning of a body that is held.

    HOLD: keep it, and read on. At the end of the body, or after silence, it is as COMMIT.
    COMMIT: send what was held, and everything that follows.
    AGAIN: drop it, and make the attempt that the policy has written into the request.
    """

    HOLD = "hold"
    COMMIT = "commit"
    AGAIN = "again"


@dataclass(frozen=True, slots=True)
class Hold:
    """The bounds within which the beginning of a body is kept from the client.

    Attributes:
        size: once more bytes than these have come, they are sent.
        seconds: after such a silence of the upstream, the policy is asked without a piece.
    """

    size: int = 65_536
    seconds: float = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """The attempts of a flow that may have more than one. `Policy` is asked about each.

    Attributes:
        statuses: the statuses of errors. They are judged with the beginning of their bodies, and not held.
        error_size: so many bytes of such a body are read at most.
        error_seconds: so long they are waited for at most.
        judges_all: whether `Policy.retry` is also asked about responses that are not errors.
        decision_seconds: so long a decision of the policy may take, with the wait before the next attempt.
    """

    statuses: frozenset[int] = frozenset((*range(400, 404), 408, 429, *range(500, 600)))
    error_size: int = 65_536
    error_seconds: float = 5.0
    judges_all: bool = True
    decision_seconds: float = 60.0


# Each request with retries makes one: names of arguments would take as long again.
@dataclass(slots=True)
class AttemptReport:
    """One attempt as far as it has come.

    Attributes:
        number: its number, from 1. The repeat after a kept connection that was closed is not one of its own.
        is_repeatable: whether the request can be sent again. If not, `Policy.retry` is told, and not heard.
        is_reused: whether the connection had served before.
        is_sent: whether a byte of the request was sent.
        has_response: whether a byte of a response has arrived.
        error: why there was no head, or why a held body broke off; None otherwise.
        status: the status of the response; 0 as long as there is no head.
        fields: the headers of the response.
        body: the beginning of its body if its status is one of `Retries.statuses`, as far as it came. Of
            another response all of its body, if that came with the head; else empty.
    """

    number: int
    is_repeatable: bool = True
    is_reused: bool = False
    is_sent: bool = False
    has_response: bool = False
    error: WireError | None = None
    status: int = 0
    fields: Fields = ()
    body: bytes = b""
