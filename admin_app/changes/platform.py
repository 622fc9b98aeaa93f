"""The document of the platform: read once per attempt of a change, and written without losing another one."""

from collections.abc import Callable, Sequence
from typing import Any, cast

from flask import g

from admin_app.changes.attempts import Restored, edit_of, log_change, repeat
from admin_app.changes.idempotency import Respond, claim_of
from admin_app.context import services
from shared.config_store.layout import PLATFORM_ID
from shared.config_store.records.contents import PlatformContent, unshared
from shared.documents.history.differences import content_differences, names_of
from shared.model.config import Tenant
from shared.model.providers import Model, PlatformDocument, Provider
from shared.model.webhooks import Webhook


def platform() -> PlatformDocument:
    """The document by which the current attempt of a change is checked."""
    if "platform" not in g:
        g.platform = services().store.read_platform()
    return cast(PlatformDocument, g.platform)


def judge_by(document: PlatformDocument) -> None:
    """Check what follows by a document that is not stored yet."""
    g.platform = document


def forget_platform() -> None:
    """Begin another attempt, on the newest document."""
    g.pop("platform", None)


def change_platform(
    change: Callable[[PlatformDocument], PlatformDocument],
    respond: Respond[PlatformDocument] | None = None,
) -> PlatformDocument:
    """Write the result of `change`, and return the stored document.

    `respond` makes the response of a call with an Idempotency-Key. Raises as `repeat`, and `NamesInUse`.
    """

    def attempt() -> PlatformDocument:
        forget_platform()
        before = platform()
        return write_platform(before, change(before), respond)

    return repeat(PLATFORM_ID, attempt)


def write_platform(
    before: PlatformDocument,
    after: PlatformDocument,
    respond: Respond[PlatformDocument] | None = None,
    restored: Restored | None = None,
) -> PlatformDocument:
    """Write one change, and log it. Raises as the store."""
    contents = [PlatformContent.of(one) for one in (before, after)]
    differences = content_differences(*contents)
    edit = edit_of(differences, names_of(differences, *contents), restored)
    stored = services().store.write_platform(before, after, edit=edit, claim=claim_of(respond))
    changed = changed_ids(ai_things(before), ai_things(stored))
    if before.prices != stored.prices:
        changed.append("prices")
    log_change(PLATFORM_ID, stored.version, changed)
    return stored


def ai_things(owned: Tenant | PlatformDocument) -> Sequence[Provider | Model | Webhook]:
    """The providers, models and webhooks of an owner."""
    return (*owned.providers, *owned.models, *owned.webhooks)


def changed_ids(before: Sequence[Any], after: Sequence[Any]) -> list[str]:
    """The ids of the things that differ; of models, the names."""
    parts = unshared(before, after)
    old, new = ({one.name if isinstance(one, Model) else one.id: one for one in some} for some in parts)
    return [one for one in {**old, **new} if old.get(one) != new.get(one)]
