"""Timeouts of upstreams, as they are configured."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RuleTimeouts:
    """Timeouts of an upstream. None is the operator's default.

    `first_byte` is from the end of the request to the head of the response, `idle` is for the next bytes of
    the response, and `total` for the whole exchange.
    """

    connect: float | None = None
    first_byte: float | None = None
    idle: float | None = None
    total: float | None = None
