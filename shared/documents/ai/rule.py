"""The upstreams of a rule without a target of its own, as JSON: a pool of targets, or AI."""

from functools import partial
from typing import Any

from marshmallow import Schema, fields, post_load, validate

from shared.core.fields import choice, flag, validated
from shared.documents.ai.model import MAX_TARGETS, priority, weight
from shared.documents.ai.names import api_names, globs, provider_names, upstream_model
from shared.documents.fields import Input, Whole, nullable
from shared.documents.upstream import TimeoutsOutput, headers_input, headers_output, timeouts_input
from shared.model.pools import UrlTarget
from shared.model.providers import AiRule, Translate
from shared.model.targets import parse_target
from shared.providers.calls import PATHS
from shared.translation.notes import DEFAULT, EXPOSE, REASONING, UNSUPPORTED


def url_field(description: str, **kwargs: Any) -> fields.String:
    """The URL of an upstream."""
    return fields.String(
        validate=[validate.Length(max=2048), partial(validated, parse_target)],
        metadata={"description": description, "pattern": "^https?://[^?#@]+$"},
        **kwargs,
    )


class UrlTargetInput(Input):
    """One upstream of a rule."""

    url = url_field("The http or https URL of the upstream.", required=True)
    weight = weight()
    priority = priority()
    headers = headers_input()
    timeouts = timeouts_input("They can only shorten those of the rule.")

    @post_load
    def _make(self, data: dict[str, Any], **_: Any) -> UrlTarget:
        return UrlTarget(**data)


class UrlTargetOutput(Schema):
    """One upstream of a rule."""

    url = fields.String(required=True)
    weight = fields.Integer(required=True)
    priority = fields.Integer(required=True)
    headers = headers_output()
    timeouts = fields.Nested(TimeoutsOutput, required=True)


class TranslateInput(Input):
    """How requests are translated for providers that do not speak the API of the client."""

    unsupported = choice(
        *UNSUPPORTED,
        default=DEFAULT,
        description="The action for a member that the other API lacks. default: it is dropped and reported, "
        "or the request is rejected if it would mean something else without it. reject or drop: always.",
    )
    reasoning = choice(
        *REASONING, default=EXPOSE, description="hide: clients do not get the thoughts of the model."
    )

    @post_load
    def _make(self, data: dict[str, Any], **_: Any) -> Translate:
        return Translate(**data)


class AiRuleInput(Input):
    """The providers and models that a rule serves."""

    providers = provider_names(
        "A bare name of a model is looked for in this order. []: all providers of the tenant.",
        load_default=list,
    )
    models = globs(
        "The models that clients may ask for. Case matters. null: all.", load_default=None, allow_none=True
    )
    default_model = upstream_model(
        "For a request that names no model. null: such a request is rejected.",
        load_default=None,
        allow_none=True,
    )
    hide_target = flag(False, "true: responses name the model that was asked for, and no provider.")
    apis = api_names(
        tuple(PATHS),
        "The APIs that it serves. null: models, and all that its providers speak or that are translated.",
    )
    translate = Whole(
        TranslateInput,
        load_default=Translate,
        metadata={"description": "How requests are translated for providers that do not speak their API."},
    )

    @post_load
    def _make(self, data: dict[str, Any], **_: Any) -> AiRule:
        lists = {
            name: None if data[name] is None else tuple(dict.fromkeys(data[name]))
            for name in ("providers", "models", "apis")
        }
        return AiRule(**{**data, **lists})


class TranslateOutput(Schema):
    """How requests are translated."""

    unsupported = fields.String(required=True)
    reasoning = fields.String(required=True)


class AiRuleOutput(Schema):
    """The providers and models that a rule serves."""

    providers = fields.List(fields.String(), required=True)
    models = fields.List(fields.String(), **nullable())
    default_model = fields.String(**nullable())
    hide_target = fields.Boolean(required=True)
    apis = fields.List(fields.String(), **nullable())
    translate = fields.Nested(TranslateOutput, required=True)


def targets_input() -> fields.List[Any]:
    """The field `targets` of a rule."""
    return fields.List(
        Whole(UrlTargetInput),
        load_default=None,
        allow_none=True,
        validate=validate.Length(min=1, max=MAX_TARGETS),
        metadata={"description": "Several upstreams, in place of target. PATCH replaces all of them."},
    )


def ai_input() -> fields.Nested:
    """The field `ai` of a rule."""
    return Whole(
        AiRuleInput,
        load_default=None,
        allow_none=True,
        metadata={"description": "Providers and models of AI, in place of target. PATCH replaces it."},
    )
