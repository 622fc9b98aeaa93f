"""How long the gateway waits for one upstream: the rule's own timeouts over the operator's defaults.

>>> UpstreamTimeouts(connect=5, first_byte=300, idle=300).with_own(RuleTimeouts(connect=1, total=60))
UpstreamTimeouts(connect=1, first_byte=300, idle=300, total=60)
"""

from typing import NamedTuple

from shared.model.config import RuleTimeouts


class UpstreamTimeouts(NamedTuple):
    """The longest waits in seconds, named as in `RuleTimeouts`. A `total` of None is no such limit."""

    connect: float = 5.0
    first_byte: float = 300.0
    idle: float = 300.0
    total: float | None = None

    def with_own(self, own: RuleTimeouts) -> "UpstreamTimeouts":
        """These, with a rule's own in their place where it has some."""
        return UpstreamTimeouts(
            self.connect if own.connect is None else own.connect,
            self.first_byte if own.first_byte is None else own.first_byte,
            self.idle if own.idle is None else own.idle,
            self.total if own.total is None else own.total,
        )
