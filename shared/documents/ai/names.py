"""The names and globs of AI: names of providers and models, and texts in which ``*`` matches anything."""

import re
from typing import Any, Final

from marshmallow import ValidationError, fields, validate

from shared.core.fields import text
from shared.documents.fields import slug
from shared.providers.calls import OWN, PATHS

_MODEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}")
_MAX_GLOBS: Final = 200
#: The APIs that a provider can speak.
PROVIDER_APIS: Final = tuple(api for api in PATHS if api not in OWN)


def provider_names(description: str, **kwargs: Any) -> fields.List[Any]:
    """A list of names of providers."""
    return fields.List(
        slug(),
        validate=validate.Length(max=100),
        metadata={"description": description},
        **kwargs,
    )


def _model_name(name: str) -> None:
    steps = name.split("/")
    if not _MODEL.fullmatch(name) or any(step in ("", ".", "..") for step in steps):
        raise ValidationError(
            "Must be 1 to 128 of A-Z, a-z, 0-9 and . _ : / @ -, begin with a letter or digit, and be a path "
            "without empty parts."
        )


def model_name(**kwargs: Any) -> fields.String:
    """The name of a model that clients use. It is a part of URLs."""
    return fields.String(validate=_model_name, **kwargs)


def upstream_model(description: str, **kwargs: Any) -> fields.String:
    """The name that a provider knows a model by."""
    return text(256, description, **kwargs)


def globs(description: str, **kwargs: Any) -> fields.List[Any]:
    """A list of globs."""
    return fields.List(
        text(256, "", min_length=1),
        validate=validate.Length(max=_MAX_GLOBS),
        metadata={"description": f"{description} * matches any characters."},
        **kwargs,
    )


def api_names(allowed: tuple[str, ...], description: str) -> fields.List[Any]:
    """A list of APIs, or null."""
    return fields.List(
        fields.String(validate=validate.OneOf(allowed)),
        load_default=None,
        allow_none=True,
        validate=validate.Length(min=1, max=len(allowed)),
        metadata={"description": description},
    )
