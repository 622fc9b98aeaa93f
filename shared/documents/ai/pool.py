"""How one of several targets is chosen, and when another one is tried, as JSON.

A model and a rule have these members beside their targets. Their defaults differ: a model tries another
target after more failures, because its clients cannot.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from marshmallow import Schema, ValidationError, fields, post_load, validate

from shared.core.durations import DAY_SECONDS, HOUR_SECONDS
from shared.core.fields import Duration, Pattern, Size, choice, token
from shared.documents.fields import Input, Whole, nullable
from shared.model.pools import (
    AI_POLICY,
    AI_RETRY,
    Affinity,
    Breaker,
    HealthCheck,
    Hold,
    PoolPolicy,
    Retry,
    RetryOn,
    Strategy,
)

#: The members of a body that together are a `PoolPolicy`, each with the name of its field.
POOL_MEMBERS: Mapping[str, str] = {
    "strategy": "strategy",
    "affinity": "affinity",
    "retry": "retry",
    "breaker": "breaker",
    "stream": "hold",
    "health": "health",
}
#: The most that `hold_bytes` of a stream may be.
MAX_HOLD: Final = 1_048_576
_SOURCES = ("prompt_cache_key", "user_id", "prefix")
_HEADER = "header:"
_PATH = re.compile(r"/[\x21-\x7e]*")
_PLAIN = PoolPolicy()


class Off:
    """The type of `OFF`."""


#: The value of a member that null switches off.
OFF = Off()


class WholeOrOff(Whole):
    """A nested document; null does not stand for the default but switches the thing off."""

    def deserialize(
        self, value: Any, attr: str | None = None, data: Mapping[str, Any] | None = None, **kwargs: Any
    ) -> Any:
        return OFF if value is None else super().deserialize(value, attr, data, **kwargs)


def _source(text: str) -> None:
    if text in _SOURCES:
        return
    if not text.startswith(_HEADER):
        allowed = ", ".join((*_SOURCES, f"{_HEADER}<name>"))
        raise ValidationError(f"Must be one of: {allowed}.")
    token("header: and a header name")(text.removeprefix(_HEADER))


def _seconds(default: float, lowest: float, highest: float, description: str) -> Duration:
    text = f'{description} Seconds, or text such as "10s".'
    return Duration(minimum=lowest, maximum=highest, load_default=default, description=text)


def _number(default: float, lowest: float, highest: float, description: str) -> fields.Float:
    return fields.Float(
        load_default=default,
        validate=validate.Range(lowest, highest),
        metadata={"description": description},
    )


def _whole(default: int, lowest: int, highest: int, description: str) -> fields.Integer:
    return fields.Integer(
        strict=True,
        load_default=default,
        validate=validate.Range(lowest, highest),
        metadata={"description": description},
    )


class AffinityInput(Input):
    """How the calls of one conversation are kept at one target, so that its prompt cache is used."""

    by = fields.List(
        fields.String(validate=[validate.Length(max=136), _source]),
        load_default=lambda: list(Affinity().by),
        validate=validate.Length(min=1, max=10),
        metadata={
            "description": "The first that a request has counts: header:<name>, prompt_cache_key, user_id "
            "(of the metadata), prefix (the beginning of the conversation)."
        },
    )
    spill = _number(
        *(Affinity().spill, 1.0, 100.0),
        "A target takes more than this multiple of the mean load only if all others do.",
    )

    @post_load
    def _make(self, data: dict[str, Any], **_: Any) -> Affinity:
        return Affinity(by=tuple(dict.fromkeys(data["by"])), spill=data["spill"])


def _retry_on(default: tuple[RetryOn, ...]) -> fields.List[Any]:
    return fields.List(
        fields.Enum(RetryOn, by_value=True),
        load_default=lambda: list(default),
        validate=validate.Length(max=len(RetryOn)),
        metadata={
            "description": "The failures after which another target is tried, before the first byte of a "
            "response. After reset and timeout the first target may bill its response, too."
        },
    )


class RetryInput(Input):
    """When another target of a rule, or the same one, is tried."""

    attempts = _whole(_PLAIN.retry.attempts, 1, 10, "The most calls that reach a target for one request.")
    on = _retry_on(_PLAIN.retry.on)
    within = _seconds(
        *(_PLAIN.retry.within, 0, 300),
        "The longest wait before a target is tried again, also if it says when.",
    )
    backoff = _seconds(
        *(_PLAIN.retry.backoff, 0.001, 10),
        "The wait before a target is tried again; it doubles each time.",
    )

    @post_load
    def _make(self, data: dict[str, Any], **_: Any) -> Retry:
        return Retry(**{**data, "on": tuple(dict.fromkeys(data["on"]))})


class ModelRetryInput(RetryInput):
    """When another target of a model, or the same one, is tried."""

    on = _retry_on(AI_RETRY.on)


class BreakerInput(Input):
    """When a target is no longer tried, and for how long."""

    consecutive = _whole(_PLAIN.breaker.consecutive, 1, 1000, "So many failures in a row open it.")
    rate = _number(
        *(_PLAIN.breaker.rate, 0.01, 1.0), "So large a part of failures among the last calls opens it."
    )
    of = _whole(_PLAIN.breaker.of, 1, 10_000, "The fewest calls within window for rate to count.")
    window = _seconds(_PLAIN.breaker.window, 1, HOUR_SECONDS, "The time that a call counts.")
    open = _seconds(
        *(_PLAIN.breaker.open, 0.1, HOUR_SECONDS),
        "The time that it is open at first; it doubles each time.",
    )
    longest = _seconds(_PLAIN.breaker.longest, 0.1, DAY_SECONDS, "The longest time that it is open.")

    @post_load
    def _make(self, data: dict[str, Any], **_: Any) -> Breaker:
        if data["longest"] < data["open"]:
            raise ValidationError("Must not be shorter than open.", "longest")
        return Breaker(**data)


class HoldInput(Input):
    """How long the beginning of a stream is held back, while another target could still be tried."""

    hold = choice(
        *("content", "head"),
        default=_PLAIN.hold.until,
        description="content: up to the first text. head: not at all.",
    )
    hold_bytes = Size("No more is held back.", load_default=_PLAIN.hold.bytes)
    hold_time = _seconds(_PLAIN.hold.time, 0.1, 120, "It is not held back for longer.")
    broken = choice(
        "error",
        default="error",
        description="How a stream ends that breaks after its first content: with an error event.",
    )

    @post_load
    def _make(self, data: dict[str, Any], **_: Any) -> Hold:
        if data["hold_bytes"] > MAX_HOLD:
            raise ValidationError("Must be at most 1 MB.", "hold_bytes")
        return Hold(until=data["hold"], bytes=data["hold_bytes"], time=data["hold_time"])


class HealthInput(Input):
    """A probe of each target."""

    path = fields.String(
        load_default=None,
        validate=[
            validate.Length(max=2048),
            Pattern(_PATH, "Must begin with a slash and contain printable ASCII without spaces."),
        ],
        metadata={"description": "The path to get. null: no probes."},
    )
    interval = _seconds(_PLAIN.health.interval, 5, HOUR_SECONDS, "The time between two probes.")
    timeout = _seconds(_PLAIN.health.timeout, 0.1, 60, "The longest time of a probe.")
    ok = fields.List(
        fields.Integer(strict=True, validate=validate.Range(200, 599)),
        load_default=lambda: list(_PLAIN.health.ok),
        validate=validate.Length(min=1, max=20),
        metadata={"description": "The status codes of a target that can serve."},
    )

    @post_load
    def _make(self, data: dict[str, Any], **_: Any) -> HealthCheck:
        return HealthCheck(**{**data, "ok": tuple(dict.fromkeys(data["ok"]))})


def _strategy() -> fields.Enum[Strategy]:
    return fields.Enum(
        Strategy,
        by_value=True,
        load_default=_PLAIN.strategy,
        metadata={"description": "The order in which the targets of one priority are tried."},
    )


def _nested(kind: type[Schema], default: Any, description: str) -> Whole:
    return Whole(kind, load_default=default, metadata={"description": description})


class PoolInput(Input):
    """The members of a rule with targets."""

    strategy = _strategy()
    affinity = WholeOrOff(
        AffinityInput,
        load_default=OFF,
        allow_none=True,
        metadata={"description": "How calls are kept at one target. null: they are not."},
    )
    retry = _nested(RetryInput, _PLAIN.retry, "When another target is tried.")
    breaker = _nested(BreakerInput, _PLAIN.breaker, "When a target is no longer tried.")
    stream = _nested(HoldInput, _PLAIN.hold, "How long the beginning of a stream is held back.")
    health = _nested(HealthInput, _PLAIN.health, "Probes of the targets.")


class ModelPoolInput(PoolInput):
    """The members of a model."""

    affinity = WholeOrOff(
        AffinityInput,
        load_default=AI_POLICY.affinity,
        allow_none=True,
        metadata={"description": "How calls are kept at one target. null: they are not."},
    )
    retry = _nested(ModelRetryInput, AI_RETRY, "When another target is tried.")


class AffinityOutput(Schema):
    """How calls are kept at one target."""

    by = fields.List(fields.String(), required=True)
    spill = fields.Float(required=True)


class RetryOutput(Schema):
    """When another target is tried. Durations are seconds."""

    attempts = fields.Integer(required=True)
    on = fields.List(fields.Enum(RetryOn, by_value=True), required=True)
    within = fields.Float(required=True)
    backoff = fields.Float(required=True)


class BreakerOutput(Schema):
    """When a target is no longer tried. Durations are seconds."""

    consecutive = fields.Integer(required=True)
    rate = fields.Float(required=True)
    of = fields.Integer(required=True)
    window = fields.Float(required=True)
    open = fields.Float(required=True)
    longest = fields.Float(required=True)


class HoldOutput(Schema):
    """How long the beginning of a stream is held back. `hold_time` is in seconds."""

    hold = fields.String(required=True, attribute="until")
    hold_bytes = fields.Integer(required=True, attribute="bytes")
    hold_time = fields.Float(required=True, attribute="time")
    broken = fields.Constant("error", required=True)


class HealthOutput(Schema):
    """A probe of each target. Durations are seconds."""

    path = fields.String(**nullable())
    interval = fields.Float(required=True)
    timeout = fields.Float(required=True)
    ok = fields.List(fields.Integer(), required=True)


class PoolOutput(Schema):
    """How a target is chosen. null for a rule that has no targets."""

    strategy = fields.Enum(Strategy, by_value=True, required=True, allow_none=True)
    affinity = fields.Nested(AffinityOutput, **nullable())
    retry = fields.Nested(RetryOutput, **nullable())
    breaker = fields.Nested(BreakerOutput, **nullable())
    stream = fields.Nested(HoldOutput, **nullable())
    health = fields.Nested(HealthOutput, **nullable())


def policy_of(sent: Mapping[str, Any], stored: PoolPolicy) -> PoolPolicy:
    """The policy `stored` with the members that a body has."""
    changed = {field: sent[member] for member, field in POOL_MEMBERS.items() if member in sent}
    if changed.get("affinity") is OFF:
        changed["affinity"] = None
    return replace(stored, **changed)


def pool_members(policy: PoolPolicy | None) -> dict[str, Any]:
    """The members of a document; None: there is no pool."""
    return {member: policy and getattr(policy, field) for member, field in POOL_MEMBERS.items()}
