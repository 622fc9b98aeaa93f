"""The keys of providers as JSON. A stored secret is never shown; a hint helps to recognize it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from shared.core.durations import DAY_SECONDS, HOUR_SECONDS
from shared.core.fields import Duration, Pattern, Timestamp, flag, text
from shared.documents.ai.names import globs
from shared.documents.fields import KEEP, Input, Keep, nullable, read_only
from shared.model.providers import ProviderKey

#: The most keys of one provider.
MAX_KEYS = 100
_PRINTABLE = Pattern(r"[\x21-\x7e]{1,8192}", "Must be 1 to 8192 printable ASCII characters without spaces.")
_HINTED = 20  # of a longer secret, the first three and the last four characters are shown
_NAME = Pattern(r"[A-Za-z0-9_.-]{1,255}", "Must be letters, digits and any of . _ -.")
_IGNORED = "Set by the gateway. Ignored if sent."
_FORMS = 'Must be text, or {"set": true} to keep the stored value.'
_PLATFORM_FORMS = 'Must be text, {"set": true} to keep the stored value, {"env": "NAME"} or {"file": "name"}.'


@dataclass(frozen=True, slots=True)
class Reference:
    """A secret that the operator keeps outside the store: in a variable, or in a file."""

    env: str | None = None
    file: str | None = None


class ProviderSecret(fields.Field["str | Keep | Reference"]):
    """A credential as text, or ``{"set": true}``; for the platform also ``{"env"}`` and ``{"file"}``."""

    def __init__(self, *, references: bool = False, **kwargs: Any) -> None:
        self.references = references
        keep = {"type": "object", "properties": {"set": {"const": True}, "hint": {}}, "required": ["set"]}
        kinds: list[dict[str, Any]] = [{"type": "string", "maxLength": 8192}, keep]
        if references:
            kinds += [
                {"type": "object", "properties": {name: {"type": "string"}}, "required": [name]}
                for name in ("env", "file")
            ]
        described = "Stored encrypted, and never shown. " + (_PLATFORM_FORMS if references else _FORMS)
        super().__init__(metadata={"anyOf": kinds, "description": described}, **kwargs)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str | Keep | Reference:
        if isinstance(value, str):
            return str(_PRINTABLE(value))
        if isinstance(value, Mapping):
            if value.get("set") is True and set(value) <= {"set", "hint"}:
                return KEEP
            name = next(iter(value)) if len(value) == 1 else ""
            if name in ("env", "file"):
                return self._reference(name, value[name])
        raise ValidationError(_PLATFORM_FORMS if self.references else _FORMS)

    def _reference(self, name: str, value: Any) -> Reference:
        if not self.references:
            raise ValidationError(f"Only the platform may use {name}. Send the secret as text.")
        if not isinstance(value, str):
            raise ValidationError({name: ["Must be text."]})
        _NAME(value)
        return Reference(**{name: value})


class ProviderKeyInput(Input):
    """A key of a provider of a tenant."""

    id = read_only()
    name = text(200, "Its purpose, in your words.", load_default="", min_length=0)
    secret = ProviderSecret(required=True)
    weight = fields.Integer(
        strict=True,
        load_default=1,
        validate=validate.Range(1, 1000),
        metadata={"description": "Its share of the calls."},
    )
    models = globs(
        "The models that it may call. Case matters. null: all.", load_default=None, allow_none=True
    )
    enabled = flag(True, "false: it is not used.")
    expires_at = read_only(format="date-time")
    created_at = read_only(format="date-time")
    status = read_only(description=_IGNORED)
    cooling_until = read_only(format="date-time", description=_IGNORED)
    last_error = read_only(description=_IGNORED)


class PlatformKeyInput(ProviderKeyInput):
    """A key of a provider of the platform."""

    secret = ProviderSecret(references=True, required=True)


def _overlap() -> Duration:
    return Duration(
        minimum=0,
        maximum=365.0 * DAY_SECONDS,
        load_default=float(HOUR_SECONDS),
        description='How long the old secret is also used: seconds, or text such as "1h".',
    )


class RotateKeyInput(Input):
    """A new secret for a key of a tenant's provider."""

    secret = ProviderSecret(required=True)
    overlap = _overlap()


class RotatePlatformKeyInput(RotateKeyInput):
    """A new secret for a key of a provider of the platform."""

    secret = ProviderSecret(references=True, required=True)


class KeyHealthOutput(Schema):
    """The health of a key. It is not stored with the key: see `shared.documents.ai.health`."""

    status = fields.String(
        required=True,
        dump_default="ok",
        validate=validate.OneOf(["ok", "cooling", "rejected", "disabled"]),
        metadata={
            "description": "ok: it is used. cooling: its provider limits it, or its money is spent. "
            "rejected: its provider does not accept it. disabled: it is off, or at its end. ETags do not "
            "cover it."
        },
    )
    cooling_until = Timestamp(
        "When a key that cools, or was rejected, is tried again.",
        required=True,
        allow_none=True,
        dump_default=None,
    )
    last_error = fields.String(
        required=True,
        allow_none=True,
        dump_default=None,
        metadata={"description": "Its last failure in a few words, without secrets."},
    )


class ProviderKeyOutput(KeyHealthOutput):
    """A key of a provider."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    secret = fields.Method("_secret", required=True)
    weight = fields.Integer(required=True)
    models = fields.List(fields.String(), **nullable())
    enabled = fields.Boolean(required=True)
    expires_at = Timestamp("The end of a replaced key. null: none.", required=True, allow_none=True)
    created_at = Timestamp("Time of creation.", required=True)

    def _secret(self, key: ProviderKey) -> dict[str, Any]:
        if key.env is not None:
            return {"env": key.env}
        if key.file is not None:
            return {"file": key.file}
        return {"set": True, "hint": key.hint}


def hint_of(secret: str) -> str | None:
    """The part of a secret that is shown; None: it is too short.

    >>> hint_of("sk-proj-0123456789abcdef"), hint_of("secret")
    ('sk-…cdef', None)
    """
    return f"{secret[:3]}…{secret[-4:]}" if len(secret) > _HINTED else None
