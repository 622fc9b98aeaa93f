"""How long a rule waits for its upstream, as it is sent and as it is shown."""

from typing import Any

from marshmallow import Schema, fields, post_load

from shared.core.fields import Duration, Strict
from shared.model.config import RuleTimeouts

_SHORTEST = 0.01  # seconds; below it only faults of the clock are measured


def _wait(longest: float, description: str) -> Duration:
    return Duration(
        minimum=_SHORTEST,
        maximum=longest,
        load_default=None,
        allow_none=True,
        description=f'{description} Seconds, or a text such as "500ms". Default: the gateway\'s own.',
    )


class TimeoutsInput(Strict):
    """The longest waits for the upstream. What is left out, or null, is the gateway's default."""

    connect = _wait(60, "For a connection, TLS included.")
    first_byte = _wait(3600, "For the head of the answer, once the request is sent.")
    idle = _wait(3600, "For the next bytes of an answer.")
    total = _wait(86_400, "For the whole exchange.")

    @post_load
    def _make(self, data: dict[str, Any], **_: Any) -> RuleTimeouts:
        return RuleTimeouts(**data)


class TimeoutsOutput(Schema):
    """The longest waits in seconds; null is the gateway's default."""

    connect = fields.Float(required=True, allow_none=True)
    first_byte = fields.Float(required=True, allow_none=True)
    idle = fields.Float(required=True, allow_none=True)
    total = fields.Float(required=True, allow_none=True)
