"""The least bodies of the admin API, a plugin for their chains, and the problems of wrong ones."""

from typing import Any

import pytest
from marshmallow import Schema, ValidationError

from shared.core.fields import problems_of
from shared.model.config import Stage
from shared.pipeline.plugin import CONTINUE, Exchange, Plugin, Verdict

TENANT = {"name": "Acme", "subdomain": "acme"}
RULE = {"path": "/v1", "target": "https://api.openai.com"}


class Audit(Plugin):
    """Acts late and gives up slowly."""

    name = "audit"
    default_stage = Stage.POST_RESPONSE
    default_on_error = "open"
    default_timeout = 5.0

    def post_response(self, exchange: Exchange) -> Verdict:
        return CONTINUE


def problems(schema: Schema, body: Any) -> dict[str, str]:
    """Pointer -> detail of everything that is wrong with `body`."""
    with pytest.raises(ValidationError) as caught:
        schema.load(body)
    return {problem.pointer: problem.detail for problem in problems_of(caught.value.messages)}
