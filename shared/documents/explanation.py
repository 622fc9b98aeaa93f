"""The document that explains what would happen to a request."""

from marshmallow import Schema, fields, validate

from shared.model.config import Stage


class RuleMatch(Schema):
    """A rule, and why the request does not meet it."""

    id = fields.String(required=True)
    path = fields.String(required=True)
    methods = fields.List(fields.String(), required=True)
    matches = fields.Boolean(required=True)
    why_not = fields.String(required=True, allow_none=True)
    fault = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Why the stored rule cannot be used; then it refuses every request."},
    )


class ShownHeader(Schema):
    """A header; secrets are masked."""

    name = fields.String(required=True)
    value = fields.String(required=True)


class UpstreamRequest(Schema):
    """The request that the upstream would get. Secrets are masked."""

    method = fields.String(required=True)
    url = fields.String(required=True)
    headers = fields.List(fields.Nested(ShownHeader), required=True)
    body = fields.String(required=True, allow_none=True, metadata={"description": "null when it is no text."})
    body_bytes = fields.Integer(required=True)


class GatewayResponse(Schema):
    """What the client gets: a refusal (`code` is set), a plugin's answer, or the one that was sent along."""

    status = fields.Integer(required=True)
    source = fields.String(required=True)
    code = fields.String(required=True, allow_none=True)
    message = fields.String(required=True, allow_none=True)
    details = fields.Dict(required=True)
    headers = fields.List(fields.Nested(ShownHeader), required=True)
    body = fields.String(
        required=True, allow_none=True, metadata={"description": "null of a refusal, and when it is no text."}
    )


class ExplainedEntry(Schema):
    """Where an entry of a chain comes from."""

    origin = fields.String(required=True, validate=validate.OneOf(["tier", "required", "tenant", "rule"]))
    priority = fields.Integer(required=True)
    parallel = fields.Boolean(required=True)


class ExplainedPlugin(Schema):
    """A plugin at its place. `entries` has several where they act as one."""

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
    detail = fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "The refusal's message, the fault, or what was not called."},
    )
    milliseconds = fields.Float(required=True, allow_none=True)


class ExplainedGroup(Schema):
    """Plugins that run at the same time."""

    needs_body = fields.Boolean(required=True)
    milliseconds = fields.Float(required=True, allow_none=True)
    plugins = fields.List(fields.Nested(ExplainedPlugin), required=True)


class ExplainedStage(Schema):
    """The groups of a stage, in their order."""

    stage = fields.Enum(Stage, by_value=True, required=True)
    groups = fields.List(fields.Nested(ExplainedGroup), required=True)


class CounterAfter(Schema):
    """What would be left of a limit."""

    remaining = fields.Integer(required=True)


class CounterBefore(CounterAfter):
    """What is left of a limit."""

    reset_after_ms = fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "Until something is free again; null when nobody knows."},
    )


class ExplainedLimit(Schema):
    """A limit that would be charged, as it is and as it would be."""

    scope = fields.String(required=True)
    name = fields.String(required=True)
    unit = fields.String(required=True, validate=validate.OneOf(["requests", "concurrent"]))
    limit = fields.Integer(required=True)
    window = fields.String(required=True, allow_none=True)
    cost = fields.Integer(required=True)
    allows = fields.Boolean(required=True)
    before = fields.Nested(CounterBefore, required=True)
    after = fields.Nested(CounterAfter, required=True)


class ExplainedTenant(Schema):
    """The tenant, and the version of its configuration that was used."""

    id = fields.String(required=True)
    subdomain = fields.String(required=True)
    version = fields.Integer(required=True)


class Explanation(Schema):
    """What would happen. `tenant` is null when the request does not lead to this one."""

    outcome = fields.String(
        required=True,
        validate=validate.OneOf(["forwarded", "refused", "answered", "unfinished"]),
        metadata={"description": "unfinished: plugins took longer than a dry run may."},
    )
    tenant = fields.Nested(ExplainedTenant, required=True, allow_none=True)
    key_id = fields.String(required=True, allow_none=True)
    rule_id = fields.String(required=True, allow_none=True)
    rules = fields.List(fields.Nested(RuleMatch), required=True)
    plan = fields.List(fields.Nested(ExplainedStage), required=True)
    limits = fields.List(fields.Nested(ExplainedLimit), required=True)
    upstream = fields.Nested(UpstreamRequest, required=True, allow_none=True)
    response = fields.Nested(GatewayResponse, required=True, allow_none=True, data_key="answer")
