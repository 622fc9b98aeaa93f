"""/webhooks and /tenants/{id}/webhooks: the addresses that get alerts."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson
from flask import Response
from flask.views import MethodView

from admin_app.auth.access import Access, requires
from admin_app.auth.outside_calls import outside_call
from admin_app.changes.idempotency import idempotent
from admin_app.changes.owners import Holding, Owner
from admin_app.changes.whole.webhook import changed_webhook, check_count, check_url, webhook_warnings
from admin_app.context import new_id, services
from admin_app.http.errors import problem_documents
from admin_app.http.openapi import Blueprint
from admin_app.http.paging import PageQuery, page_of
from admin_app.http.responses import check_match, no_content, response
from admin_app.jobs.webhook_call import call_webhook
from shared.alerts.alert import TEST
from shared.alerts.deliveries import Deliveries
from shared.core.fields import timestamp_text
from shared.documents.alerts.webhook import (
    WEBHOOK,
    WEBHOOK_READ,
    WEBHOOK_TESTED,
    PlatformWebhookInput,
    PlatformWebhookPatch,
    WebhookChanged,
    WebhookInput,
    WebhookList,
    WebhookPatch,
    WebhookShown,
    WebhookTested,
    WebhookTestInput,
    last_document,
    webhook_document,
)
from shared.documents.examples import changed, page
from shared.model.webhooks import Webhook

blueprint = Blueprint("webhooks", __name__, "Addresses that get alerts. Secrets are never shown.")


def _judge(sent: dict[str, Any], tenant_id: str | None = None, webhook_id: str | None = None) -> None:
    """Check the fields of a body of which others are malformed."""
    owner = Owner(tenant_id)
    before = owner.read()
    stored = before.webhook(webhook_id) if webhook_id else Webhook(id="", name="", url="")
    whole = sent if webhook_id or "url" in sent else {**sent, "url": "https://missing.invalid"}
    changed_webhook(owner, before, stored, whole, check_url(sent))


@blueprint.route("/webhooks")
class PlatformWebhooks(MethodView):
    @requires(Access.PLATFORM)
    @blueprint.operation("listPlatformWebhooks")
    @blueprint.reads(PageQuery, location="query")
    @blueprint.responses(200, WebhookList, example=page("webhooks", WEBHOOK_READ))
    def get(self, query: dict[str, Any]) -> Response:
        """List the platform's webhooks, in order of creation"""
        return _list(Owner(), query)

    @requires(Access.PLATFORM)
    @idempotent
    @blueprint.operation("createPlatformWebhook")
    @blueprint.reads(PlatformWebhookInput, example=WEBHOOK, judge=_judge)
    @blueprint.responses(201, WebhookChanged, example=changed(WEBHOOK_READ))
    def post(self, sent: dict[str, Any]) -> Response:
        """Create a webhook of the platform

        It gets the alerts of the platform and of all tenants.
        """
        return _create(Owner(), sent)


@blueprint.route("/webhooks/<webhook_id>")
class PlatformWebhook(MethodView):
    @requires(Access.PLATFORM)
    @blueprint.operation("getPlatformWebhook")
    @blueprint.responses(200, WebhookShown, example=WEBHOOK_READ)
    def get(self, webhook_id: str) -> Response:
        """Read a webhook of the platform"""
        return _read(Owner(), webhook_id)

    @requires(Access.PLATFORM)
    @blueprint.operation("updatePlatformWebhook")
    @blueprint.reads(PlatformWebhookPatch(partial=True), example={"active": False}, judge=_judge)
    @blueprint.responses(200, WebhookChanged, example=changed(WEBHOOK_READ))
    def patch(self, sent: dict[str, Any], webhook_id: str) -> Response:
        """Change some fields of a webhook of the platform"""
        return _change(Owner(), webhook_id, sent)

    @requires(Access.PLATFORM)
    @blueprint.operation("deletePlatformWebhook")
    @blueprint.responses(204, description="The webhook is deleted, and what was not sent is dropped.")
    def delete(self, webhook_id: str) -> Response:
        """Delete a webhook of the platform"""
        return _delete(Owner(), webhook_id)


@blueprint.route("/webhooks/<webhook_id>/test")
class PlatformWebhookTest(MethodView):
    @requires(Access.PLATFORM)
    @blueprint.operation("testPlatformWebhook")
    @blueprint.reads(WebhookTestInput, example={})
    @blueprint.responses(200, WebhookTested, example=WEBHOOK_TESTED)
    def post(self, _: dict[str, Any], webhook_id: str) -> Response:
        """Test a webhook of the platform

        It is called once, also if it is not active. The status is 200 also if the test fails; see `ok`.
        """
        return _test(Owner(), webhook_id)


@blueprint.route("/tenants/<tenant_id>/webhooks")
class Webhooks(MethodView):
    @requires(Access.READ)
    @blueprint.operation("listWebhooks")
    @blueprint.reads(PageQuery, location="query")
    @blueprint.responses(200, WebhookList, example=page("webhooks", WEBHOOK_READ))
    def get(self, query: dict[str, Any], tenant_id: str) -> Response:
        """List a tenant's webhooks, in order of creation"""
        return _list(Owner(tenant_id), query)

    @requires(Access.ADMIN)
    @idempotent
    @blueprint.operation("createWebhook")
    @blueprint.reads(WebhookInput, example=WEBHOOK, judge=_judge)
    @blueprint.responses(201, WebhookChanged, example=changed(WEBHOOK_READ))
    def post(self, sent: dict[str, Any], tenant_id: str) -> Response:
        """Create a webhook of a tenant

        It gets alerts about the tenant's budgets and rules, and about its own providers and targets.
        """
        return _create(Owner(tenant_id), sent)


@blueprint.route("/tenants/<tenant_id>/webhooks/<webhook_id>")
class OneWebhook(MethodView):
    @requires(Access.READ)
    @blueprint.operation("getWebhook")
    @blueprint.responses(200, WebhookShown, example=WEBHOOK_READ)
    def get(self, tenant_id: str, webhook_id: str) -> Response:
        """Read a webhook of a tenant"""
        return _read(Owner(tenant_id), webhook_id)

    @requires(Access.ADMIN)
    @blueprint.operation("updateWebhook")
    @blueprint.reads(WebhookPatch(partial=True), example={"active": False}, judge=_judge)
    @blueprint.responses(200, WebhookChanged, example=changed(WEBHOOK_READ))
    def patch(self, sent: dict[str, Any], tenant_id: str, webhook_id: str) -> Response:
        """Change some fields of a webhook of a tenant"""
        return _change(Owner(tenant_id), webhook_id, sent)

    @requires(Access.ADMIN)
    @blueprint.operation("deleteWebhook")
    @blueprint.responses(204, description="The webhook is deleted, and what was not sent is dropped.")
    def delete(self, tenant_id: str, webhook_id: str) -> Response:
        """Delete a webhook of a tenant"""
        return _delete(Owner(tenant_id), webhook_id)


@blueprint.route("/tenants/<tenant_id>/webhooks/<webhook_id>/test")
class WebhookTest(MethodView):
    @requires(Access.ADMIN)
    @blueprint.operation("testWebhook")
    @blueprint.reads(WebhookTestInput, example={})
    @blueprint.responses(200, WebhookTested, example=WEBHOOK_TESTED)
    def post(self, _: dict[str, Any], tenant_id: str, webhook_id: str) -> Response:
        """Test a webhook of a tenant

        It is called once, also if it is not active. The status is 200 also if the test fails; see `ok`.
        """
        return _test(Owner(tenant_id), webhook_id)


def _last_of(*webhooks: Webhook) -> Sequence[Mapping[str, Any]]:
    """For each webhook, the member that tells its last call, which ETags do not cover."""
    with services().reading(Deliveries) as deliveries:
        found = deliveries.last(one.id for one in webhooks)
    return [last_document(found.get(one.id)) for one in webhooks]


def _list(owner: Owner, query: Mapping[str, Any]) -> Response:
    items, cursor = page_of(owner.read().webhooks, query)
    pairs = zip(items, _last_of(*items), strict=True)
    documents = [{**webhook_document(webhook), **last} for webhook, last in pairs]
    return response({"webhooks": documents, "count": len(items), "next_cursor": cursor})


def _read(owner: Owner, webhook_id: str) -> Response:
    webhook = owner.read().webhook(webhook_id)
    [last] = _last_of(webhook)
    return response(webhook_document(webhook), extra=last)


def _create(owner: Owner, sent: Mapping[str, Any]) -> Response:
    webhook_id, now = new_id("hook"), services().clock.now()
    owner.read()  # first, so that strangers cannot cause DNS queries
    checked = check_url(sent)

    def add(before: Holding) -> Holding:
        check_count(before)
        blank = Webhook(id=webhook_id, name="", url="", created_at=now, updated_at=now)
        return before.with_webhook(changed_webhook(owner, before, blank, sent, checked))

    def respond(after: Holding) -> Response:
        webhook = after.webhook(webhook_id)
        warnings = problem_documents(webhook_warnings(webhook, checked))
        location = f"{owner.path}/webhooks/{webhook_id}"
        extra = {**last_document(None), "warnings": warnings}
        return response(webhook_document(webhook), 201, extra, location)

    return respond(owner.change(add, respond))


def _change(owner: Owner, webhook_id: str, sent: Mapping[str, Any]) -> Response:
    owner.read().webhook(webhook_id)
    checked = check_url(sent)

    def change(before: Holding) -> Holding:
        stored = before.webhook(webhook_id)
        check_match(webhook_document(stored))
        webhook = changed_webhook(owner, before, stored, sent, checked)
        return before.with_webhook(replace(webhook, updated_at=services().clock.now()))

    webhook = owner.change(change).webhook(webhook_id)
    [last] = _last_of(webhook)
    warnings = problem_documents(webhook_warnings(webhook, checked))
    return response(webhook_document(webhook), extra={**last, "warnings": warnings})


def _delete(owner: Owner, webhook_id: str) -> Response:
    def remove(before: Holding) -> Holding:
        webhook = before.webhook(webhook_id)
        check_match(webhook_document(webhook))
        return replace(before, webhooks=tuple(one for one in before.webhooks if one is not webhook))

    owner.change(remove)
    return no_content()


def _test(owner: Owner, webhook_id: str) -> Response:
    webhook = owner.read().webhook(webhook_id)
    now, test_id = services().clock.now(), new_id("test")
    members: dict[str, Any] = {
        "type": TEST,
        "time": timestamp_text(now),
        "tenant_id": owner.tenant_id,
        "data": {},
    }
    with outside_call(owner.name):
        called = call_webhook(
            services(),
            services().fetch,
            webhook,
            owner=owner.name,
            event=TEST,
            delivery=f"{test_id}.{webhook_id}",
            body=orjson.dumps({"id": test_id, **members}),
        )
    return response(
        {
            "ok": called.error is None,
            "status": called.status,
            "milliseconds": called.milliseconds,
            "error": called.error,
        }
    )
