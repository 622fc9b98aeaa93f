"""The members that everything with an upstream shares: timeouts, headers, certificates."""

from typing import Any

from cryptography import x509
from marshmallow import Schema, ValidationError, fields, post_load, validate

from shared.core.durations import DAY_SECONDS, HOUR_SECONDS
from shared.core.fields import HEADER_VALUE, Duration, token
from shared.documents.fields import Input, Secret, Whole, nullable
from shared.http.forwarding import describes_body, is_ours
from shared.model.rule_timeouts import RuleTimeouts

_MIN_SECONDS = 0.01  # a shorter timeout would measure delays of this machine only


def _timeout(max_seconds: float, description: str) -> Duration:
    return Duration(
        minimum=_MIN_SECONDS,
        maximum=max_seconds,
        load_default=None,
        allow_none=True,
        description=f'{description} Seconds, or text such as "500ms". null: the gateway\'s default.',
    )


class TimeoutsInput(Input):
    """The timeouts of an upstream. An omitted or null timeout is the gateway's default."""

    connect = _timeout(60, "To connect to the upstream, TLS included.")
    first_byte = _timeout(HOUR_SECONDS, "From the end of the request to the head of the response.")
    idle = _timeout(HOUR_SECONDS, "Between two reads of the response body.")
    total = _timeout(DAY_SECONDS, "For the whole exchange with the upstream.")

    @post_load
    def _make(self, data: dict[str, Any], **_: Any) -> RuleTimeouts:
        return RuleTimeouts(**data)


class TimeoutsOutput(Schema):
    """The upstream timeouts in seconds. null: the gateway's default."""

    connect = fields.Float(**nullable())
    first_byte = fields.Float(**nullable())
    idle = fields.Float(**nullable())
    total = fields.Float(**nullable())


def timeouts_input(description: str = "Upstream timeouts. PATCH replaces all of them.") -> fields.Nested:
    """The field `timeouts` of a body."""
    return Whole(TimeoutsInput, load_default=RuleTimeouts, metadata={"description": description})


def _header_name(name: str) -> None:
    if is_ours(name):
        raise ValidationError(f"The gateway sets or removes {name}. Choose another header.")
    if describes_body(name):
        raise ValidationError(
            f"{name} describes the client's body, so a rule must not set it. Choose another header."
        )


def headers_input(
    description: str = "Headers to set on the upstream request. Values are stored encrypted and shown as "
    '{"set": true}; sending that keeps the stored value.',
) -> fields.Dict:
    """The field `headers` of a body: secret values by name."""
    return fields.Dict(
        keys=fields.String(validate=[token("a header name"), _header_name]),
        values=Secret(fields.String(validate=[HEADER_VALUE]), max_length=8192),
        load_default=dict,
        validate=validate.Length(max=64),
        metadata={"description": description},
    )


def headers_output() -> fields.Dict:
    """The field `headers` of a response."""
    return fields.Dict(keys=fields.String(), values=Secret(fields.String()), required=True)


def ca_input(description: str) -> fields.String:
    """The field `ca` of a body."""
    return fields.String(
        load_default=None,
        allow_none=True,
        validate=[validate.Length(min=1, max=65_536), _certificates],
        metadata={"description": description},
    )


def _certificates(text: str) -> None:
    try:
        x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        raise ValidationError("Must be one or more PEM certificates.") from None
