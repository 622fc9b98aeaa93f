"""marshmallow fields and validators for JSON documents, stricter than marshmallow's own, and its errors.

Importing this module also replaces the texts of marshmallow's own errors, as its documentation shows.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from marshmallow import RAISE, Schema, ValidationError, fields, validate

from shared.core.addresses import plain_address
from shared.core.durations import parse_duration
from shared.core.errors import Problem, nearest
from shared.core.http_tokens import METHODS, TOKEN
from shared.core.json_pointer import escape_step
from shared.core.sizes import parse_size

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:[Zz]|[+-]\d\d:\d\d)")
_PRINTABLE = re.compile(r"^[^\x00-\x1f\x7f-\x9f]*$")


# The texts of marshmallow's own errors: what is wrong, and what to do.
fields.Field.default_error_messages |= {
    "required": "It is missing. Add it.",
    "null": "Must not be null. Send a value.",
    "validator_failed": "The value is not allowed. Choose another one.",
}
fields.String.default_error_messages |= {"invalid": "Must be text.", "invalid_utf8": "Must be UTF-8 text."}
fields.Number.default_error_messages |= {"invalid": "Must be a number.", "too_large": "Must be smaller."}
fields.Float.default_error_messages |= {"special": "Must be a finite number."}
fields.Integer.default_error_messages |= {"invalid": "Must be a whole number."}
fields.Boolean.default_error_messages |= {"invalid": "Must be true or false."}
fields.List.default_error_messages |= {"invalid": "Must be a list."}
fields.Mapping.default_error_messages |= {"invalid": "Must be an object."}
fields.Nested.default_error_messages |= {"type": "Must be an object."}
validate.Length.message_min = "Its length must be at least {min}."
validate.Length.message_max = "Its length must be at most {max}."
validate.Length.message_all = "Its length must be from {min} to {max}."
validate.Range.message_gte, validate.Range.message_lte = "at least", "at most"
validate.Range.message_gt, validate.Range.message_lt = "more than", "less than"


#: No more problems of a body are told: it can have a hundred thousand, each with a search for the meant name.
MAX_PROBLEMS = 1_000


class UnknownMember(str):
    """The error of a member that a schema does not know. It lists the `allowed` names."""

    allowed: Sequence[str] = ()

    @classmethod
    def of(cls, allowed: Sequence[str]) -> "UnknownMember":
        error = cls(f"Unknown field. Allowed: {', '.join(allowed) or 'none'}.")
        error.allowed = allowed
        return error

    def for_name(self, name: str) -> str:
        """The error with the nearest allowed name, if one is near."""
        near = nearest(name, self.allowed)
        return self.replace("field.", f"field: did you mean {near}?", 1) if near else str(self)


class Strict(Schema):
    """The base of all bodies: unknown fields are errors that list the allowed ones."""

    class Meta:
        unknown = RAISE

    error_messages = {"type": "Must be an object."}  # noqa: RUF012

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        known = [field.data_key or name for name, field in self.load_fields.items()]
        self.error_messages = {**self.error_messages, "unknown": UnknownMember.of(known)}


class Pattern(validate.Regexp):
    """A regular expression that the whole text must match, and the error if it does not."""

    def __init__(self, regex: str | re.Pattern[str], error: str) -> None:
        super().__init__(regex, error=error)

    def __call__(self, value: Any) -> Any:
        if self.regex.fullmatch(value) is None:
            raise ValidationError(self.error)
        return value


def validated[V](parse: Callable[..., V], value: Any, **options: Any) -> V:
    """The result of `parse`. Its ValueError becomes a ValidationError."""
    try:
        return parse(value, **options)
    except ValueError as error:
        raise ValidationError(str(error)) from None


def token(kind: str) -> Pattern:
    """Accept a token (RFC 9110): `kind` is what it names, such as "a header name"."""
    return Pattern(f"^{TOKEN}$", f"Must be {kind} (letters, digits and any of !#$%&'*+.^_`|~-).")


#: Accepts the value of a header.
HEADER_VALUE = Pattern(r"^[\t\x20-\x7e\x80-\xff]*$", "Must be one line of Latin-1 text.")


def ip_address(value: str) -> None:
    """Accept an IP address; raise ValidationError on anything else."""
    try:
        plain_address(value)
    except ValueError:
        raise ValidationError("Must be an IP address.") from None


def text(max_length: int, description: str, *, min_length: int = 1, **kwargs: Any) -> fields.String:
    """One line of printable text of at most `max_length` characters."""
    return fields.String(
        validate=[
            validate.Length(min=min_length, max=max_length),
            Pattern(_PRINTABLE, "Must not contain control characters."),
        ],
        metadata={"description": description},
        **kwargs,
    )


def choice(*allowed: str, default: str, description: str) -> fields.String:
    """One of a few words."""
    return fields.String(
        load_default=default, validate=validate.OneOf(allowed), metadata={"description": description}
    )


def flag(default: bool, description: str) -> "Flag":
    """true or false, with a default."""
    return Flag(load_default=default, metadata={"description": description})


class Flag(fields.Boolean):
    """JSON's true or false; no other value is converted."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bool:
        if not isinstance(value, bool):
            raise ValidationError("Must be true or false.")
        return value


class Duration(fields.Field[float]):
    """Seconds as a number, or text such as ``500ms``; loaded and dumped as seconds.

    `form` is its format and unit for a form, as those of `Size`.
    """

    form = ("duration", "seconds")

    def __init__(self, *, minimum: float, maximum: float, description: str, **kwargs: Any) -> None:
        self.minimum, self.maximum = minimum, maximum
        kind = {"type": ["number", "string"], "minimum": minimum, "maximum": maximum}
        super().__init__(metadata={**kind, "description": description}, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> float:
        seconds = validated(parse_duration, value) / 1000
        if not self.minimum <= seconds <= self.maximum:
            raise ValidationError(f"Must be from {self.minimum:g} to {self.maximum:g} seconds.")
        return seconds


class Size(fields.Field[int]):
    """A number of bytes, or text such as ``20MB``; loaded and dumped as bytes."""

    form = ("size", "bytes")

    def __init__(self, description: str, **kwargs: Any) -> None:
        super().__init__(metadata={"type": ["integer", "string"], "description": description}, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> int:
        return validated(parse_size, value)


def timestamp_text(seconds: float) -> str:
    """Seconds since the Unix epoch as RFC 3339 text in UTC, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Timestamp(fields.Field[float]):
    """Seconds since the Unix epoch; in JSON, RFC 3339 text in UTC."""

    def __init__(self, description: str, **kwargs: Any) -> None:
        kind = {"type": "string", "format": "date-time", "description": description}
        super().__init__(metadata=kind, **kwargs)

    def _serialize(self, value: float | None, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return None if value is None else timestamp_text(value)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> float:
        if not isinstance(value, str) or not _RFC3339.fullmatch(value):
            raise ValidationError("Must be an RFC 3339 time such as 2030-01-31T12:00:00Z.")
        try:
            moment = datetime.fromisoformat(value.upper())
        except ValueError:
            raise ValidationError("This time does not exist.") from None
        # In another time zone, a moment of the year 9999 may lie beyond the end of Python's calendar.
        if not 1970 < moment.year < 9999:
            raise ValidationError("Must be between the years 1971 and 9998.")
        return moment.timestamp()


class Method(fields.String):
    """An HTTP method, upper-cased."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        method = super()._deserialize(value, attr, data, **kwargs)
        if method.upper() not in METHODS:
            raise ValidationError(f"Must be one of: {', '.join(METHODS)}.")
        return method.upper()


def problems_of(messages: Any, pointer: str = "", depth: int = 0, *, maps: bool = True) -> list[Problem]:
    """The nested error messages of marshmallow as a flat list with JSON pointers (RFC 6901).

    `depth` is the number of member names at the end of `pointer`. Pass `maps=False` for a schema without
    dict fields: then "key" and "value" are ordinary members. Of very many, the first `MAX_PROBLEMS` are told.
    """
    return list(islice(_problems(messages, pointer, depth, maps), MAX_PROBLEMS))


def _problems(messages: Any, pointer: str, depth: int, maps: bool) -> Iterator[Problem]:
    if isinstance(messages, Mapping):
        # A dict field wraps the errors of its entries in "key" and "value", which are not in the document.
        # They are below the names of the field and of the entry, unlike a field "value" of a list's item.
        wraps = maps and depth >= 2 and set(messages) <= {"key", "value"}
        for name, inner in messages.items():
            if wraps or name == "_schema":
                yield from _problems(inner, pointer, 1, maps)
            else:
                below = depth + 1 if isinstance(name, str) else 0
                yield from _problems(inner, f"{pointer}/{escape_step(name)}", below, maps)
    elif isinstance(messages, list | tuple):
        for inner in messages:
            yield from _problems(inner, pointer, 0, maps)
    elif isinstance(messages, UnknownMember):
        yield Problem(pointer, messages.for_name(pointer.rpartition("/")[2]))
    else:
        yield Problem(pointer, str(messages))
