"""The settings of limits: by what they count, at which level, which requests, and what a rejection does."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from marshmallow import ValidationError, fields, post_load, validate, validates_schema

from shared.core.fields import Method, Pattern, Strict, flag, validated
from shared.core.globs import precision
from shared.core.http_tokens import MASK, TOKEN
from shared.http.forwarding import plugin_view
from shared.http.paths import normalize_path
from shared.limits.quotas import ConcurrencySchema, HeaderQuotaSchema, OneOrMore, QuotaSchema, Window
from shared.limits.values import LimitMatch, LimitSpec
from shared.model.messages import Headers

#: Headers, models, methods or paths that one setting may name.
MAX_NAMES = 32

# RateLimit headers show these names between quotes (RFC 8941, 3.3.3).
_HEADER = Pattern(f"^(?!.{{101}}){TOKEN}$", "Must be a header name of at most 100 characters.")
_MODEL = Pattern(
    r"^[ !#-\[\]-~]{1,200}$", "Must be at most 200 printable ASCII characters, without '\"' and backslash."
)
_PATH = Pattern(r"^/[!-~]{0,511}$", "Must begin with a slash and have at most 512 visible ASCII characters.")
_COUNT = validate.Length(1, MAX_NAMES)

_ALL = ("global", "per_ip", "per_key", "per_method", "per_path", "per_header", "per_model")


def _not_masked(name: str) -> None:
    if MASK in plugin_view(Headers([(name, "")])).all(name):
        raise ValidationError("Plugins do not see the value of this header: it is a key. Use per_key.")


def _names(name: Pattern, *rules: Any, quota: type[QuotaSchema], description: str) -> fields.Dict:
    return fields.Dict(
        keys=fields.String(validate=[name, *rules]),
        values=OneOrMore(quota, "One quota, or a list of quotas that all hold."),
        validate=_COUNT,
        metadata={"description": description},
    )


class LimitsSchema(Strict):
    """Quotas by what they count. Loads to a tuple of `LimitSpec`."""

    class Meta(Strict.Meta):
        # "global" cannot be the name of an attribute.
        include: ClassVar = {
            "global": OneOrMore(QuotaSchema, "All requests together."),
            "per_ip": OneOrMore(
                QuotaSchema, "The requests of each client address; IPv6 addresses count by their /64."
            ),
            "per_key": OneOrMore(
                QuotaSchema, "The requests of each API key; those without a key share a counter."
            ),
            "per_method": OneOrMore(QuotaSchema, "The requests of each method."),
            "per_path": OneOrMore(QuotaSchema, "The requests of each path, in the form that is matched."),
            "per_header": _names(
                _HEADER,
                _not_masked,
                quota=HeaderQuotaSchema,
                description="Map of header names. Each value of the header has its own counter.",
            ),
            "per_model": _names(
                _MODEL,
                quota=QuotaSchema,
                description="Map of models or globs (gpt-4o*, *). Each model in a JSON body has its own "
                "counter. The most precise glob applies.",
            ),
            "streams": OneOrMore(
                ConcurrencySchema, "Concurrent requests; streamed ones until the last byte of the response."
            ),
            "concurrent": OneOrMore(ConcurrencySchema, "Another name for streams."),
        }

    @post_load
    def _flatten(self, data: Mapping[str, Any], **kwargs: Any) -> tuple[LimitSpec, ...]:
        if not data:
            raise ValidationError(f"Must hold at least one of {', '.join(_ALL)} and streams.")
        return tuple(limit for name, forms in data.items() for limit in _specs(name, forms))


def _specs(name: str, forms: Any) -> Iterator[LimitSpec]:
    if name == "per_header":
        for header, quotas in forms.items():
            for quota in quotas:
                yield LimitSpec(f"{name}:{header}", by=(f"header:{header.lower()}",), **quota)
    elif name == "per_model":
        globs = tuple(sorted(forms, key=precision))
        for glob, quotas in forms.items():
            for quota in quotas:
                yield LimitSpec(f"{name}:{glob}", by=("model",), glob=glob, globs=globs, **quota)
    else:
        by = (name.removeprefix("per_"),) if name.startswith("per_") else ()
        for form in forms:
            yield LimitSpec(name, **{"by": by, **form})


class LevelSchema(Strict):
    """The limits of one level. Loads to a tuple of `LimitSpec`, which is empty when the level is disabled."""

    enabled = flag(True, "false disables the limits of this level.")
    limits = fields.Nested(LimitsSchema, metadata={"description": "Quotas by what they count."})

    @validates_schema
    def _has_limits(self, data: Mapping[str, Any], **kwargs: Any) -> None:
        if data["enabled"] and "limits" not in data:
            raise ValidationError("Required unless enabled is false.", "limits")

    @post_load
    def _flatten(self, data: Mapping[str, Any], **kwargs: Any) -> tuple[LimitSpec, ...]:
        return data["limits"] if data["enabled"] else ()


class PathGlob(fields.String):
    """A path or a glob of paths, normalized like the paths of requests."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        return validated(normalize_path, _PATH(super()._deserialize(value, attr, data, **kwargs)))


class MatchSchema(Strict):
    """The requests that count. Loads to a `LimitMatch`."""

    methods = fields.List(
        Method(validate=Pattern("^[A-Za-z][A-Za-z-]{0,31}$", "Must be an HTTP method.")),
        load_default=list,
        validate=validate.Length(max=MAX_NAMES),
        metadata={"description": "[] is every method."},
    )
    paths = fields.List(
        PathGlob(),
        load_default=list,
        validate=validate.Length(max=MAX_NAMES),
        metadata={"description": "Paths, with all paths below them. * matches any characters. [] is all."},
    )

    @post_load
    def _make(self, data: Mapping[str, Any], **kwargs: Any) -> LimitMatch:
        return LimitMatch(tuple(data["methods"]), tuple(data["paths"]))


class ActionsSchema(Strict):
    """The response to a request above a limit."""

    type = fields.String(
        load_default="reject",
        validate=validate.OneOf(["reject"]),
        metadata={"description": "reject returns 429."},
    )
    retry_after = Window(
        0,
        "Minimum Retry-After of a 429. A longer computed time is sent instead.",
        load_default=0,
    )
