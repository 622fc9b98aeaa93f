"""The document that explains a request."""

from marshmallow import Schema, fields, validate

from shared.documents.fields import amount, nullable, warnings_field
from shared.limits.quotas import UNITS
from shared.limits.values import CONCURRENT
from shared.model.config import Stage


def _nullable(description: str = "") -> fields.String:
    """A text or null."""
    metadata = {"description": description} if description else {}
    return fields.String(required=True, allow_none=True, metadata=metadata)


class RuleMatch(Schema):
    """A rule, and why it does not match the request."""

    id = fields.String(required=True)
    path = fields.String(required=True)
    methods = fields.List(fields.String(), required=True)
    matches = fields.Boolean(required=True)
    why_not = _nullable()
    fault = _nullable("Why the stored rule cannot be used. Such a rule rejects every request.")


class ShownHeader(Schema):
    """A header. Secrets are masked."""

    name = fields.String(required=True)
    value = fields.String(required=True)


class UpstreamRequest(Schema):
    """The request that the upstream would get. Secrets are masked.

    `url` is null, and `headers` are empty, for a provider of the platform.
    """

    method = fields.String(required=True)
    url = _nullable()
    headers = fields.List(fields.Nested(ShownHeader), required=True)
    body = _nullable("null if it is not text.")
    body_bytes = fields.Integer(required=True)


class GatewayResponse(Schema):
    """The response that the client would get. `code` is set for a rejection."""

    status = fields.Integer(required=True)
    source = fields.String(required=True)
    code = _nullable()
    message = _nullable()
    details = fields.Dict(required=True)
    headers = fields.List(fields.Nested(ShownHeader), required=True)
    body = _nullable("null for a rejection, or if the body is not text.")


class ExplainedEntry(Schema):
    """An entry of a chain and its origin."""

    origin = fields.String(
        required=True, validate=validate.OneOf(["tier", "required", "tenant", "rule", "budgets"])
    )
    priority = fields.Integer(required=True)
    parallel = fields.Boolean(required=True)


class ExplainedPlugin(Schema):
    """A plugin in the plan. It has several `entries` if they are merged."""

    name = fields.String(required=True)
    mode = fields.String(required=True, validate=validate.OneOf(["enforce", "shadow"]))
    entries = fields.List(fields.Nested(ExplainedEntry), required=True)
    on_error = fields.String(required=True)
    timeout = fields.Float(required=True, metadata={"description": "Seconds."})
    verdict = fields.String(
        required=True,
        validate=validate.OneOf(
            ["continue", "reject", "respond", "patch", "fault", "not_called", "cancelled", "not_run"]
        ),
    )
    detail = _nullable("The message of the rejection, the fault, or the call that was not made.")
    milliseconds = fields.Float(**nullable())


class ExplainedGroup(Schema):
    """Plugins that run at the same time."""

    needs_body = fields.Boolean(required=True)
    milliseconds = fields.Float(**nullable())
    plugins = fields.List(fields.Nested(ExplainedPlugin), required=True)


class ExplainedStage(Schema):
    """The groups of a stage, in their order."""

    stage = fields.Enum(Stage, by_value=True, required=True)
    groups = fields.List(fields.Nested(ExplainedGroup), required=True)


class CounterAfter(Schema):
    """The limit after the request."""

    remaining = amount()


class CounterBefore(CounterAfter):
    """The limit before the request."""

    reset_after_ms = fields.Integer(**nullable("Time until more is available; null if unknown."))


class ExplainedLimit(Schema):
    """A limit that the request would charge, before and after it."""

    scope = fields.String(required=True)
    name = fields.String(required=True)
    unit = fields.String(required=True, validate=validate.OneOf([*UNITS, CONCURRENT]))
    limit = amount()
    window = _nullable()
    cost = amount()
    allows = fields.Boolean(required=True)
    before = fields.Nested(CounterBefore, required=True)
    after = fields.Nested(CounterAfter, required=True)


class ExplainedTenant(Schema):
    """The tenant, with the version of its configuration."""

    id = fields.String(required=True)
    subdomain = fields.String(required=True)
    version = fields.Integer(required=True)


class ExplainedTarget(Schema):
    """A model of a provider that may serve the request."""

    provider = fields.String(required=True)
    model = fields.String(required=True)
    weight = fields.Integer(required=True)
    priority = fields.Integer(required=True)
    is_chosen = fields.Boolean(required=True)
    api = fields.String(required=True, metadata={"description": "The API by which it is called."})
    dropped = fields.List(fields.String(), **nullable("Members that its translation loses; null: none."))
    changed = fields.List(fields.String(), **nullable("The members that it gets with another meaning."))
    why_not = _nullable("Why it is not chosen, if it could not be.")


class ExplainedModel(Schema):
    """The model that a request for AI asks for. `key_id` is the provider's key.

    `stored_id` is the stored response that the request names: only the target and key that made it are used.
    """

    api = fields.String(required=True)
    asked = _nullable("The name in the request, or the rule's default.")
    model = _nullable("The model of the gateway with that name.")
    key_id = _nullable()
    stored_id = _nullable()
    targets = fields.List(fields.Nested(ExplainedTarget), required=True)


class Explanation(Schema):
    """Result of the dry run. `tenant` is null if the request does not lead to this tenant."""

    outcome = fields.String(
        required=True,
        validate=validate.OneOf(["forwarded", "rejected", "responded", "unfinished"]),
        metadata={"description": "unfinished: the plugins exceeded the time for a dry run."},
    )
    tenant = fields.Nested(ExplainedTenant, **nullable())
    key_id = _nullable()
    rule_id = _nullable()
    rules = fields.List(fields.Nested(RuleMatch), required=True)
    plan = fields.List(fields.Nested(ExplainedStage), required=True)
    limits = fields.List(fields.Nested(ExplainedLimit), required=True)
    ai = fields.Nested(ExplainedModel, **nullable())
    upstream = fields.Nested(UpstreamRequest, **nullable())
    response = fields.Nested(GatewayResponse, **nullable())
    warnings = warnings_field("Warnings about the `rule` of the call.")
