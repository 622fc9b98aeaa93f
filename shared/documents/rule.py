"""Rules as JSON."""

from typing import Any

from marshmallow import Schema, fields, post_load, validate

from shared.core.durations import HOUR_SECONDS
from shared.core.fields import (
    Duration,
    Flag,
    Method,
    Pattern,
    Size,
    Timestamp,
    choice,
    flag,
    text,
)
from shared.documents.ai.pool import PoolInput, PoolOutput, pool_members
from shared.documents.ai.rule import AiRuleOutput, UrlTargetOutput, ai_input, targets_input, url_field
from shared.documents.cors import CorsOutput, cors_input
from shared.documents.fields import (
    Input,
    Page,
    Tags,
    Whole,
    nullable,
    read_only,
    slug,
    tags_output,
    warnings_field,
)
from shared.documents.plugin_config import PluginConfigOutput, chain_input
from shared.documents.upstream import (
    TimeoutsOutput,
    ca_input,
    headers_input,
    headers_output,
    timeouts_input,
)
from shared.model.config import CLIENT, PROVIDER, Rule, RuleLimits
from shared.providers.headers import UPSTREAM_HEADERS


def _largest(kind: str) -> Size:
    return Size(
        f'The largest body of {kind}. Bytes, or text such as "20MB". null: the gateway\'s default. Only the '
        "platform may raise it above that.",
        load_default=None,
        allow_none=True,
    )


class LimitsInput(Input):
    """The largest bodies of a rule. An omitted or null limit is the gateway's default."""

    request_body = _largest("a request")
    response_body = _largest("a response that plugins read as a whole")

    @post_load
    def _make(self, data: dict[str, Any], **_: Any) -> RuleLimits:
        return RuleLimits(**data)


class LimitsOutput(Schema):
    """The largest bodies in bytes. null: the gateway's default."""

    request_body = fields.Integer(**nullable())
    response_body = fields.Integer(**nullable())


class RuleInput(PoolInput):
    """A rule to create. It has exactly one of target, targets and ai."""

    name = slug(
        load_default=None,
        allow_none=True,
        metadata={"description": "Unique in the tenant. null: the stored one, or one made of the path."},
    )
    path = text(
        2048, "Must begin with a slash. The rule with the longest matching path applies.", required=True
    )
    target = url_field("The http or https URL of the upstream.", load_default=None, allow_none=True)
    targets = targets_input()
    ai = ai_input()
    methods = fields.List(
        Method(
            validate=[validate.Length(max=32), Pattern("^[A-Za-z][A-Za-z-]*$", "Must be an HTTP method.")]
        ),
        load_default=list,
        validate=validate.Length(max=32),
        metadata={"description": "[]: all methods."},
    )
    match = choice(
        "prefix", "exact", default="prefix", description="prefix: the rule also matches all paths below."
    )
    strip_path = flag(False, "true: only the part of the path after the rule's path is added to the target.")
    preserve_host = flag(False, "true: the upstream gets the client's Host header.")
    active = flag(True, "false: the rule is stored but matches nothing.")
    public = flag(False, "true: requests need no API key.")
    headers = headers_input()
    timeouts = timeouts_input()
    limits = Whole(
        LimitsInput,
        load_default=RuleLimits,
        metadata={"description": "Largest bodies. PATCH replaces both of them."},
    )
    streams = choice(
        "pass",
        "buffer",
        default="pass",
        description="pass: streams are forwarded event by event. buffer: plugins get the whole body first.",
    )
    encoded_slashes = choice(
        "reject", "allow", default="reject", description="Whether paths with %2F are rejected or forwarded."
    )
    ca = ca_input("PEM certificates to trust for this target. Only the platform may set it.")
    credential = choice(
        PROVIDER,
        CLIENT,
        default=PROVIDER,
        description="provider: the upstream gets the credentials in headers, and none of the client's. "
        "client: it gets the client's own, and the client sends its gateway key in X-Gateway-Key.",
    )
    identity_headers = Flag(
        load_default=None,
        allow_none=True,
        metadata={
            "description": "Whether the upstream gets X-Request-ID, X-Tenant-Id, X-Consumer-Id and "
            "X-Forwarded-For. null: if its address is in security.allowed_target_networks."
        },
    )
    trace_headers = Flag(
        load_default=None,
        allow_none=True,
        metadata={
            "description": "Whether the upstream gets traceparent and tracestate, as far as the operator's "
            "trace.forward allows it. null: if its address is in security.allowed_target_networks."
        },
    )
    upstream_headers = choice(
        *UPSTREAM_HEADERS,
        default=UPSTREAM_HEADERS[0],
        description="Whether the client gets the upstream's rate limit headers. prefix: with X-Upstream- in "
        "front.",
    )
    stream_keepalive = Duration(
        minimum=1,
        maximum=HOUR_SECONDS,
        load_default=None,
        allow_none=True,
        description="While an event stream is silent for this time, the client gets a comment. Seconds, or "
        'text such as "15s". null: never.',
    )
    drain_on_disconnect = Duration(
        minimum=1,
        maximum=600,
        load_default=None,
        allow_none=True,
        description="How long a response of a model is read on after its client left, so that its usage is "
        'known. It costs what the model goes on to write. Seconds, or text such as "10s". null: not at all.',
    )
    cors = cors_input("The web pages that may call this rule. null: those of the tenant.")
    tags = Tags()
    plugin_chain = chain_input()


class RuleReplacement(RuleInput):
    """A rule to replace."""

    id = read_only()
    created_at = read_only(format="date-time")
    updated_at = read_only(format="date-time")


class RulePatch(RuleReplacement):
    """The fields of a rule to change."""


class RuleOutput(PoolOutput):
    """A stored rule."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    path = fields.String(required=True)
    target = fields.String(**nullable())
    targets = fields.List(fields.Nested(UrlTargetOutput), **nullable())
    ai = fields.Nested(AiRuleOutput, **nullable())
    methods = fields.List(fields.String(), required=True)
    match = fields.String(required=True)
    strip_path = fields.Boolean(required=True)
    preserve_host = fields.Boolean(required=True)
    active = fields.Boolean(required=True)
    public = fields.Boolean(required=True)
    headers = headers_output()
    timeouts = fields.Nested(TimeoutsOutput, required=True)
    limits = fields.Nested(LimitsOutput, required=True)
    streams = fields.String(required=True)
    encoded_slashes = fields.String(required=True)
    ca = fields.String(**nullable())
    credential = fields.String(required=True)
    identity_headers = fields.Boolean(**nullable())
    trace_headers = fields.Boolean(**nullable())
    upstream_headers = fields.String(required=True)
    stream_keepalive = fields.Float(**nullable("Seconds. null: no comments."))
    drain_on_disconnect = fields.Float(**nullable("Seconds. null: not at all."))
    cors = fields.Nested(CorsOutput, **nullable())
    tags = tags_output()
    plugin_chain = fields.List(fields.Nested(PluginConfigOutput), required=True)
    created_at = Timestamp("Time of creation.", required=True)
    updated_at = Timestamp("Time of the last change.", required=True)


class RuleChanged(RuleOutput):
    """A changed rule, and warnings about it."""

    warnings = warnings_field()


class RuleList(Page):
    """One page of rules, in order of creation."""

    rules = fields.List(fields.Nested(RuleOutput), required=True)


#: Made once: to make it takes longer than to use it.
_OUTPUT = RuleOutput()


def rule_document(rule: Rule) -> dict[str, Any]:
    """The JSON of `rule`."""
    members = {name: getattr(rule, name) for name in _OUTPUT.fields if hasattr(rule, name)}
    pool = pool_members(rule.policy if rule.targets else None)
    where = {"target": rule.target or None, "targets": rule.targets or None}
    document: dict[str, Any] = _OUTPUT.dump({**members, **where, **pool})
    return document
