"""The upstream timeouts of a rule as JSON."""

from typing import Any

from marshmallow import Schema, fields, post_load

from shared.core.fields import Duration, Strict
from shared.model.config import RuleTimeouts

_MIN_SECONDS = 0.01  # less than the precision of the timers


def _timeout(maximum: float, description: str) -> Duration:
    return Duration(
        minimum=_MIN_SECONDS,
        maximum=maximum,
        load_default=None,
        allow_none=True,
        description=f'{description} Seconds, or text such as "500ms". null: the gateway\'s default.',
    )


class TimeoutsInput(Strict):
    """The upstream timeouts of a rule. An omitted or null timeout is the gateway's default."""

    connect = _timeout(60, "To connect to the upstream, TLS included.")
    first_byte = _timeout(3600, "From the end of the request to the head of the response.")
    idle = _timeout(3600, "Between two reads of the response body.")
    total = _timeout(86_400, "For the whole exchange with the upstream.")

    @post_load
    def _make(self, data: dict[str, Any], **_: Any) -> RuleTimeouts:
        return RuleTimeouts(**data)


class TimeoutsOutput(Schema):
    """The upstream timeouts in seconds. null: the gateway's default."""

    connect = fields.Float(required=True, allow_none=True)
    first_byte = fields.Float(required=True, allow_none=True)
    idle = fields.Float(required=True, allow_none=True)
    total = fields.Float(required=True, allow_none=True)
