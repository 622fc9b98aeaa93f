"""A webhook in a change: checked, and sealed."""

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final

from admin_app.changes.check_targets import CheckedTargets, check_urls
from admin_app.changes.owners import Holding, Owner, name_taken
from admin_app.changes.read_only import split_read_only
from admin_app.changes.secrets import NO_STORED_VALUE, OTHER_ORIGIN, outside_problems, outside_warnings, seal
from admin_app.http.errors import ApiError, raise_problems
from shared.core.errors import Problem
from shared.documents.ai.provider_key import Reference
from shared.documents.alerts.webhook import webhook_document
from shared.documents.fields import KEEP
from shared.model.targets import parse_target
from shared.model.webhooks import MAX_WEBHOOKS, Webhook
from shared.secrets.context import webhook_context

_NO_NAME: Final = re.compile(r"[^a-z0-9._]+")
_MAX_HOST: Final = 40
_ID_DIGITS: Final = 6
_AT: Final = "/secret"


def check_url(sent: Mapping[str, Any]) -> CheckedTargets:
    """Check the address that a webhook would have. It is resolved, so this happens before the change."""
    return check_urls({"/url": sent["url"]}) if "url" in sent else CheckedTargets()


def changed_webhook(
    owner: Owner, before: Holding, stored: Webhook, sent: Mapping[str, Any], checked: CheckedTargets
) -> Webhook:
    """The webhook with the changes of a body, complete and sealed. Raises `Invalid` and `ApiError`.

    `stored` is the one to change, or a new one with its id.
    """
    values, problems = split_read_only(sent, partial(webhook_document, stored))
    secret = values.pop("secret", KEEP)
    if values.get("name", "") is None:
        values["name"] = stored.name or _default_name(stored.id, sent["url"])
    webhook = replace(stored, **values)
    if secret is KEEP:
        problems += _keep_problems(stored, webhook)
    elif isinstance(secret, Reference):
        webhook = replace(webhook, secret=None, env=secret.env, file=secret.file)
        problems += outside_problems(_AT, secret.env, secret.file)
    else:
        webhook = replace(webhook, secret=secret, env=None, file=None)
    rejections = [name_taken(stored, webhook, before.webhooks)]
    raise_problems(problems, checked.problems, rejections=rejections)
    if webhook.secret is None:
        return webhook
    context = webhook_context(owner.name, webhook.id, webhook.url)
    return replace(webhook, secret=seal(webhook.secret, context))


def webhook_warnings(webhook: Webhook, checked: CheckedTargets) -> list[Problem]:
    """A warning for each thing that may not work as intended."""
    return [*checked.warnings, *outside_warnings(_AT, webhook.env, webhook.file)]


def check_count(before: Holding) -> None:
    """Raise 422 when the owner already has the most webhooks."""
    if len(before.webhooks) >= MAX_WEBHOOKS:
        detail = f"There are {MAX_WEBHOOKS} webhooks, which is the most. Delete one first."
        raise ApiError("limit_reached", detail)


def too_many_webhooks(pointer: str, count: int) -> Problem:
    """The problem of more webhooks than an owner may have."""
    return Problem(pointer, f"There are {count} webhooks; {MAX_WEBHOOKS} are allowed. Remove some.")


def origin_of(webhook: Webhook) -> str:
    """The origin that the secret of a webhook is for; empty for one without an address."""
    return parse_target(webhook.url, allow_query=True).origin if webhook.url else ""


def _keep_problems(stored: Webhook, webhook: Webhook) -> list[Problem]:
    """The problem of a secret that cannot be kept."""
    if stored.secret is None:
        is_outside = stored.env is not None or stored.file is not None
        return [] if is_outside else [Problem(_AT, NO_STORED_VALUE)]
    if origin_of(stored) == origin_of(webhook):
        return []
    return [Problem(_AT, OTHER_ORIGIN.format(origin=origin_of(stored)))]


def _default_name(webhook_id: str, url: str) -> str:
    """The host of an address, and a part of the id, so that it is unique."""
    host = _NO_NAME.sub("-", parse_target(url, allow_query=True).host.lower()).strip("-._")
    return f"{host[:_MAX_HOST].rstrip('-._') or 'webhook'}-{webhook_id.rpartition('_')[2][:_ID_DIGITS]}"
