"""Webhooks as JSON. The secret is never shown."""

from typing import Any, Final

from marshmallow import Schema, ValidationError, fields, post_load, validate

from shared.alerts.alert import KINDS
from shared.alerts.delivery import LastDelivery
from shared.core.fields import Timestamp, flag, validated
from shared.documents.ai.provider_key import ProviderSecret
from shared.documents.examples import Document
from shared.documents.fields import SET, Input, Page, nullable, read_only, slug, warnings_field
from shared.model.targets import parse_target
from shared.model.webhooks import Webhook

#: The shortest secret, in characters.
MIN_SECRET: Final = 16
_MAX_URL: Final = 2048
_SIGNS: Final = f"Signs what is sent. At least {MIN_SECRET} characters. "


class WebhookSecret(ProviderSecret):
    """A secret that signs: as a credential, and not shorter than `MIN_SECRET`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        text, *others = self.metadata["anyOf"]
        self.metadata = {
            "anyOf": [{**text, "minLength": MIN_SECRET}, *others],
            "description": _SIGNS + self.metadata["description"],
        }

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        if isinstance(value, str) and len(value) < MIN_SECRET:
            raise ValidationError(f"Must have at least {MIN_SECRET} characters.")
        return super()._deserialize(value, attr, data, **kwargs)


def _check_url(value: str) -> None:
    validated(parse_target, value, allow_query=True)


class WebhookInput(Input):
    """A webhook of a tenant to create."""

    name = slug(
        load_default=None,
        allow_none=True,
        metadata={"description": "Unique. null: one is made of the host of `url`."},
    )
    url = fields.String(
        required=True,
        validate=[validate.Length(1, _MAX_URL), _check_url],
        metadata={
            "description": "The http or https URL that is called. It is shown, so put no secret in it.",
            "format": "uri",
        },
    )
    events = fields.List(
        fields.String(validate=validate.OneOf(list(KINDS))),
        required=True,
        validate=validate.Length(1, len(KINDS)),
        metadata={"description": f"The kinds of alerts that it gets: {', '.join(KINDS)}."},
    )
    secret = WebhookSecret(required=True)
    active = flag(True, "false: it is stored, and nothing is sent.")

    @post_load
    def _tuple(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        if "events" in data:
            data["events"] = tuple(dict.fromkeys(data["events"]))
        return data


class WebhookReplacement(WebhookInput):
    """A webhook of a tenant to replace."""

    id = read_only()
    created_at = read_only(format="date-time")
    updated_at = read_only(format="date-time")


class WebhookPatch(WebhookReplacement):
    """The fields of a tenant's webhook to change."""


class PlatformWebhookInput(WebhookInput):
    """A webhook of the platform to create."""

    secret = WebhookSecret(references=True, required=True)


class PlatformWebhookReplacement(PlatformWebhookInput, WebhookReplacement):
    """A webhook of the platform to replace."""


class PlatformWebhookPatch(PlatformWebhookReplacement):
    """The fields of a platform's webhook to change."""


class LastDeliveryOutput(Schema):
    """The last call of a webhook."""

    at = Timestamp("When it was called.", required=True)
    event = fields.String(required=True)
    delivery = fields.String(required=True, metadata={"description": "X-Gateway-Delivery."})
    status = fields.Integer(**nullable("That of the response. null: there was none."))
    milliseconds = fields.Integer(required=True)
    tries = fields.Integer(required=True, metadata={"description": "How often it was sent until then."})
    state = fields.String(
        required=True,
        validate=validate.OneOf(["delivered", "failed", "dropped"]),
        metadata={"description": "failed: it is sent again. dropped: it is not."},
    )
    error = fields.String(**nullable("The error. null: none."))


class WebhookOutput(Schema):
    """A stored webhook."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    url = fields.String(required=True)
    events = fields.List(fields.String(), required=True)
    secret = fields.Method("_secret", required=True)
    active = fields.Boolean(required=True)
    created_at = Timestamp("Time of creation.", required=True)
    updated_at = Timestamp("Time of the last change.", required=True)

    def _secret(self, webhook: Webhook) -> dict[str, Any]:
        if webhook.env is not None:
            return {"env": webhook.env}
        return SET if webhook.file is None else {"file": webhook.file}


class WebhookShown(WebhookOutput):
    """A stored webhook, and its last call."""

    last_delivery = fields.Nested(
        LastDeliveryOutput, **nullable("Its last call. null: there was none. ETags do not cover it.")
    )


class WebhookChanged(WebhookShown):
    """A changed webhook, and warnings about it."""

    warnings = warnings_field()


class WebhookList(Page):
    """One page of webhooks, in order of creation."""

    webhooks = fields.List(fields.Nested(WebhookShown), required=True)


class WebhookTestInput(Input):
    """A test of a webhook. It has no members."""


class WebhookTested(Schema):
    """The result of a test."""

    ok = fields.Boolean(required=True, metadata={"description": "Whether the status is 2xx."})
    status = fields.Integer(**nullable("null: there was no response."))
    milliseconds = fields.Integer(required=True)
    error = fields.String(**nullable("The error. null: none."))


_OUTPUT: Final = WebhookOutput()
_LAST: Final = LastDeliveryOutput()


def webhook_document(webhook: Webhook) -> dict[str, Any]:
    """The JSON of a webhook."""
    document: dict[str, Any] = _OUTPUT.dump(webhook)
    return document


def last_document(last: LastDelivery | None) -> dict[str, Any]:
    """The member of a webhook with its last call."""
    return {"last_delivery": None if last is None else _LAST.dump(last)}


_TIMES: Final = {"created_at": "2027-01-15T08:00:00.000Z", "updated_at": "2027-01-15T08:00:00.000Z"}
WEBHOOK: Final[Document] = {
    "name": "on-call",
    "url": "https://hooks.example.com/gateway",
    "events": ["budget.reached", "key.rejected"],
    "secret": "at-least-16-characters",
}
_WEBHOOK_READ: Final[Document] = {
    "id": "hook_2f1e0d9c8b7a6f5e4d3c2b1a",
    **WEBHOOK,
    "secret": SET,
    "active": True,
    **_TIMES,
}
LAST_DELIVERY: Final[Document] = {
    "at": "2027-01-15T08:00:00.000Z",
    "event": "budget.reached",
    "delivery": "1800000000000-0.hook_2f1e0d9c8b7a6f5e4d3c2b1a",
    "status": 204,
    "milliseconds": 38,
    "tries": 1,
    "state": "delivered",
    "error": None,
}
WEBHOOK_READ: Final[Document] = {**_WEBHOOK_READ, "last_delivery": LAST_DELIVERY}
WEBHOOK_TESTED: Final[Document] = {"ok": True, "status": 204, "milliseconds": 38, "error": None}
