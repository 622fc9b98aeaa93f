"""The forms in which limits are written down: quotas, limits by dimension, levels."""

from collections.abc import Mapping
from typing import Any, ClassVar

from marshmallow import ValidationError, fields, post_load, pre_load, validate, validates_schema

from shared.core.durations import format_duration, parse_duration
from shared.core.limits import Quota
from shared.core.schemas.fields import Strict, flag

#: The largest number of requests, and the largest cost of one: far above any use, exact in a double.
MAX_LIMIT = 1_000_000_000
#: Windows in milliseconds. Below the first a network's jitter decides, not the limit.
MIN_WINDOW_MS, MAX_WINDOW_MS = 100, 52 * 604_800_000
#: Quotas of one dimension. Each is a counter that every request is charged to.
MAX_QUOTAS = 8

#: A quota and the name of what it counts by: ``global``, ``per_ip``, ``per_key``.
Named = tuple[str, Quota]


def refuse_later(value: Any) -> None:
    """The validator of a setting that is specified, but has no effect yet."""
    raise ValidationError("Not available yet. Leave it out.")


class Window(fields.Field[int]):
    """A duration, kept in milliseconds."""

    def __init__(self, minimum: int, description: str, **kwargs: Any) -> None:
        self.minimum = minimum
        metadata = {"description": description, "type": ["string", "number"], "example": "1m"}
        super().__init__(metadata=metadata, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        try:
            milliseconds = parse_duration(value)
        except ValueError as error:
            raise ValidationError(str(error)) from None
        if not self.minimum <= milliseconds <= MAX_WINDOW_MS:
            bounds = f"{format_duration(self.minimum)} to {format_duration(MAX_WINDOW_MS)}"
            raise ValidationError(f"Must be from {bounds}.")
        return milliseconds


def limit_field(**kwargs: Any) -> fields.Integer:
    """How many requests."""
    return fields.Integer(strict=True, validate=validate.Range(0, MAX_LIMIT), **kwargs)


def window_field(**kwargs: Any) -> Window:
    """In what time."""
    return Window(MIN_WINDOW_MS, "Length of the window: 500ms, 10s, 1h30m, 1d, or seconds.", **kwargs)


class _Growing(Strict):
    """A form of which some fields, `later`, are specified but have no effect yet: they are refused."""

    later: ClassVar[tuple[str, ...]] = ()

    @pre_load
    def _refuse_later(self, data: Any, **kwargs: Any) -> Any:
        if isinstance(data, Mapping):
            found = {name: ["Not available yet. Leave it out."] for name in self.later if name in data}
            if found:
                raise ValidationError(found)
        return data


class QuotaSchema(_Growing):
    """So many requests in any window of such a length."""

    later = ("unit", "per", "on_missing", "precision", "match")

    limit = limit_field(required=True, metadata={"description": "How many requests. 0 blocks."})
    window = window_field(required=True)

    @post_load
    def _make(self, data: Mapping[str, Any], **kwargs: Any) -> Quota:
        return Quota(data["limit"], data["window"])


class Quotas(fields.Field[tuple[Quota, ...]]):
    """One quota, or a list of them which all hold."""

    def __init__(self, description: str, **kwargs: Any) -> None:
        quota = {
            "type": "object",
            "properties": {
                "limit": {"type": "integer", "minimum": 0, "maximum": MAX_LIMIT},
                "window": {"type": ["string", "number"]},
            },
            "required": ["limit", "window"],
            "additionalProperties": False,
        }
        several = {"type": "array", "items": quota, "minItems": 1, "maxItems": MAX_QUOTAS}
        super().__init__(metadata={"description": description, "anyOf": [quota, several]}, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> tuple[Quota, ...]:
        if not isinstance(value, list):
            return (QuotaSchema().load(value),)
        if not 1 <= len(value) <= MAX_QUOTAS:
            raise ValidationError(f"Must be a quota, or a list of 1 to {MAX_QUOTAS} quotas.")
        return tuple(QuotaSchema(many=True).load(value))


class LimitsSchema(_Growing):
    """Quotas by what they count. Loads to a list of (dimension, quota)."""

    later = ("per_header", "per_method", "per_path", "per_model", "streams")

    class Meta(Strict.Meta):
        # "global" is no name for an attribute.
        include: ClassVar = {
            "global": Quotas("All requests together."),
            "per_ip": Quotas("The requests of each client address; IPv6 addresses count by their /64."),
            "per_key": Quotas("The requests of each API key; those without a key count as one."),
        }

    @post_load
    def _flatten(self, data: Mapping[str, tuple[Quota, ...]], **kwargs: Any) -> tuple[Named, ...]:
        if not data:
            raise ValidationError("Must hold at least one of global, per_ip and per_key.")
        return tuple((name, quota) for name, quotas in data.items() for quota in quotas)


class LevelSchema(Strict):
    """The limits of one level, which can be switched off. Loads to a list of (dimension, quota)."""

    enabled = flag(True, "false is as if the level were left out.")
    limits = fields.Nested(LimitsSchema, metadata={"description": "Quotas by what they count."})

    @validates_schema
    def _has_limits(self, data: Mapping[str, Any], **kwargs: Any) -> None:
        if data["enabled"] and "limits" not in data:
            raise ValidationError("Required unless enabled is false.", "limits")

    @post_load
    def _flatten(self, data: Mapping[str, Any], **kwargs: Any) -> tuple[Named, ...]:
        return data["limits"] if data["enabled"] else ()


class ActionsSchema(Strict):
    """What happens to a request above a limit."""

    type = fields.String(
        load_default="reject",
        validate=validate.OneOf(["reject"]),
        metadata={"description": "reject answers 429."},
    )
    retry_after = Window(
        0,
        "The shortest wait that a refused client is told; the computed one wins when it is longer.",
        load_default=0,
    )
