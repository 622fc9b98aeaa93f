"""The timeouts of one upstream: those of the rule, and the operator's where the rule has none.

>>> UpstreamTimeouts(connect=5, first_byte=600, idle=300).with_own(RuleTimeouts(connect=1, total=60))
UpstreamTimeouts(connect=1, first_byte=600, idle=300, total=60)
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

from shared.core.durations import DAY_SECONDS
from shared.model.config import Rule
from shared.model.rule_timeouts import RuleTimeouts

_MAX_SECONDS = DAY_SECONDS


def check_seconds(times: Mapping[str, float | None]) -> None:
    """Raise ValueError for a stored time that the admin API does not write; they are by their names."""
    for name, seconds in times.items():
        if seconds is not None and not 0 < seconds <= _MAX_SECONDS:
            raise ValueError(f"{name} must be more than 0 and at most {_MAX_SECONDS} seconds, not {seconds}.")


def times_of(rule: Rule) -> Mapping[str, float | None]:
    """All times of a rule, by their names."""
    own = {"stream_keepalive": rule.stream_keepalive, "drain_on_disconnect": rule.drain_on_disconnect}
    return {**own, **{name: getattr(rule.timeouts, name) for name in UpstreamTimeouts._fields}}


class UpstreamTimeouts(NamedTuple):
    """Timeouts in seconds, named as in `RuleTimeouts`. A `total` of None means no timeout."""

    connect: float = 5.0
    first_byte: float = 600.0
    idle: float = 300.0
    total: float | None = None

    def with_own(self, own: RuleTimeouts) -> "UpstreamTimeouts":
        """These, replaced by those that the rule has."""
        return UpstreamTimeouts(
            self.connect if own.connect is None else own.connect,
            self.first_byte if own.first_byte is None else own.first_byte,
            self.idle if own.idle is None else own.idle,
            self.total if own.total is None else own.total,
        )


def shortened(base: UpstreamTimeouts, *others: RuleTimeouts) -> UpstreamTimeouts:
    """The shortest of each timeout.

    >>> shortened(UpstreamTimeouts(connect=5), RuleTimeouts(connect=1), RuleTimeouts(total=9)).connect
    1
    """
    least = base
    for one in others:
        own = {name: getattr(one, name) for name in UpstreamTimeouts._fields}
        shorter = {
            name: time
            for name, time in own.items()
            if time is not None and time < (getattr(least, name) or math.inf)
        }
        least = least._replace(**shorter)
    return least
