"""Models under aliases."""

import json
from collections.abc import Mapping

from marshmallow import fields, validate

from shared.pipeline.plugin import CONTINUE, Exchange, Patch, Plugin, Reject, Verdict, setting


class ModelAlias(Plugin):
    """Replace an alias in `model` by the model that it stands for.

    The response names that model in `X-Model`.

    >>> ModelAlias.parse({"models": {"fast": "gpt-4o-mini"}}).models["fast"]
    'gpt-4o-mini'
    """

    reads = frozenset({"body"})
    changes = frozenset({"body"})

    models: Mapping[str, str] = setting(
        fields.Dict(
            keys=fields.String(validate=validate.Length(min=1)),
            values=fields.String(validate=validate.Length(min=1)),
            required=True,
            metadata={"example": {"fast": "gpt-4o-mini"}},
        ),
        "The model that each alias stands for.",
    )
    unknown: str = setting(
        fields.String(load_default="pass", validate=validate.OneOf(["pass", "reject"])),
        "The action for a request for another model: pass or reject.",
    )

    def pre_request(self, exchange: Exchange) -> Verdict:
        document = _object(exchange.request.body)
        name = document.get("model")
        model = self.models.get(name) if isinstance(name, str) else None
        if model is not None:
            return Patch(body=json.dumps({**document, "model": model}).encode(), notes={"model": model})
        if self.unknown == "pass":
            return CONTINUE
        known = ", ".join(self.models)
        return Reject(404, "model_not_found", f"The model does not exist. Use one of: {known}.")

    def response_headers(self, exchange: Exchange) -> Mapping[str, str]:
        model = exchange.notes.get("model")
        return {"X-Model": model} if isinstance(model, str) else {}


def _object(body: bytes | None) -> dict[str, object]:
    """The JSON object in the body; an empty one if the body is anything else."""
    try:
        document = json.loads(body or b"")
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
