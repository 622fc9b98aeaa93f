"""A rule as it is sent and as it is shown."""

from typing import Any

from marshmallow import Schema, ValidationError, fields, validate

from shared.core.fields import Method, Pattern, Strict, Timestamp, choice, flag, text, token
from shared.documents.fields import Secret
from shared.documents.plugin_config import PluginConfigOutput, chain_input
from shared.documents.timeouts import TimeoutsInput, TimeoutsOutput
from shared.http.forwarding import describes_body, is_ours
from shared.model.config import Rule, RuleTimeouts
from shared.model.targets import parse_target

_VALUE = r"^[\t\x20-\x7e\x80-\xff]*$"


def _target(value: str) -> None:
    try:
        parse_target(value)
    except ValueError as error:
        raise ValidationError(str(error)) from None


def _header_name(name: str) -> None:
    if is_ours(name):
        raise ValidationError(f"A rule must not set {name}: the gateway sets or removes it itself.")
    if describes_body(name):
        raise ValidationError(f"A rule must not set {name}: plugins judge bodies by what the client says.")


class RuleInput(Strict):
    """A rule to create, or its whole new state."""

    path = text(2048, "Begins with a slash. Of several rules the longest path counts.", required=True)
    target = fields.String(
        required=True,
        validate=[validate.Length(max=2048), _target],
        metadata={"description": "Where requests go: an http or https URL.", "pattern": "^https?://[^?#@]+$"},
    )
    methods = fields.List(
        Method(
            validate=[validate.Length(max=32), Pattern("^[A-Za-z][A-Za-z-]*$", "Must be an HTTP method.")]
        ),
        load_default=list,
        validate=validate.Length(max=32),
        metadata={"description": "[] is every method."},
    )
    match = choice(
        "prefix", "exact", default="prefix", description="prefix takes what stands below the path too."
    )
    strip_path = flag(False, "true removes the rule's path before the rest is added to the target.")
    preserve_host = flag(False, "true sends the client's Host to the upstream.")
    active = flag(True, "false keeps the rule without matching it.")
    public = flag(False, "true lets callers without an API key pass.")
    headers = fields.Dict(
        keys=fields.String(validate=[token("a header name"), _header_name]),
        values=Secret(
            fields.String(
                validate=[
                    validate.Length(max=8192),
                    Pattern(_VALUE, "Must be one line of Latin-1 text."),
                ]
            )
        ),
        load_default=dict,
        validate=validate.Length(max=64),
        metadata={
            "description": 'Set on the upstream request. Stored encrypted; {"set": true} keeps the value.'
        },
    )
    timeouts = fields.Nested(
        TimeoutsInput,
        load_default=RuleTimeouts,
        metadata={"description": "The longest waits for the upstream. Written as a whole."},
    )
    streams = choice(
        "pass", "buffer", default="pass", description="pass sends a streamed answer event by event."
    )
    encoded_slashes = choice(
        "reject", "allow", default="reject", description="What to do with %2F in a path."
    )
    ca = fields.String(
        load_default=None,
        allow_none=True,
        validate=validate.Length(min=1, max=65_536),
        metadata={
            "description": "Certificates (PEM) to trust for this target. Only the platform may set it."
        },
    )
    plugin_chain = chain_input()


class RulePatch(RuleInput):
    """The fields of a rule to change. The others stay as they are."""


class RuleOutput(Schema):
    """A rule as it is stored. Header values are shown as {"set": true}."""

    id = fields.String(required=True)
    path = fields.String(required=True)
    target = fields.String(required=True)
    methods = fields.List(fields.String(), required=True)
    match = fields.String(required=True)
    strip_path = fields.Boolean(required=True)
    preserve_host = fields.Boolean(required=True)
    active = fields.Boolean(required=True)
    public = fields.Boolean(required=True)
    headers = fields.Dict(keys=fields.String(), values=Secret(fields.String()), required=True)
    timeouts = fields.Nested(TimeoutsOutput, required=True)
    streams = fields.String(required=True)
    encoded_slashes = fields.String(required=True)
    ca = fields.String(required=True, allow_none=True)
    plugin_chain = fields.List(fields.Nested(PluginConfigOutput), required=True)
    created_at = Timestamp("When it was created.", required=True)
    updated_at = Timestamp("When it was last changed.", required=True)


class RuleChanged(RuleOutput):
    """A rule after a change, and what the writer may not have meant."""

    warnings = fields.List(fields.String(), required=True)


class RuleList(Schema):
    """One page of rules, in order of creation."""

    rules = fields.List(fields.Nested(RuleOutput), required=True)
    count = fields.Integer(required=True)
    next_cursor = fields.String(required=True, allow_none=True)


def rule_document(rule: Rule) -> dict[str, Any]:
    """The JSON that a reader of `rule` sees."""
    document: dict[str, Any] = RuleOutput().dump(rule)
    return document
