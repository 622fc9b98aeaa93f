"""A rollback: a new version with the content of an old one, which is judged as any other change."""

from collections.abc import Callable
from typing import NamedTuple

from flask import request

from admin_app.changes.attempts import Restored, repeat
from admin_app.changes.platform import forget_platform, platform, write_platform
from admin_app.changes.snapshot import find_tenant, write
from admin_app.changes.whole.document import (
    Checked,
    Warnings,
    check_wanted,
    judged_platform,
    judged_tenant,
)
from admin_app.changes.whole.old_version import OldVersion
from admin_app.context import services
from admin_app.http.errors import problem_documents
from admin_app.http.responses import check_match
from shared.config_store.layout import PLATFORM_ID
from shared.config_store.records.contents import Document, PlatformContent
from shared.documents.history.differences import content_differences
from shared.documents.history.versions import whole_document
from shared.documents.tenant import tenant_document
from shared.model.config import Snapshot
from shared.model.providers import PlatformDocument


class Outcome(NamedTuple):
    """The version afterwards, whether it was there before, and warnings."""

    version: int
    is_unchanged: bool
    warnings: Warnings


class _Prepared(NamedTuple):
    """An old version for what is stored now, with its URLs checked."""

    revision: int
    old: OldVersion
    checked: Checked

    @property
    def warnings(self) -> Warnings:
        return problem_documents(self.old.warnings)


def rollback_tenant(tenant_id: str, content: Document, restored: Restored) -> Outcome:
    """Write an old content of a tenant. Raises as any change of it; pointers are as in differences."""

    def attempt(prepared: _Prepared) -> Outcome:
        before = find_tenant(tenant_id)
        check_match(tenant_document(before.tenant))
        if before.revision != prepared.revision:
            prepared = _prepare(content, before)
        now = services().clock.now()
        after, warnings = judged_tenant(before, prepared.old.wanted, prepared.checked, now)
        warnings = [*prepared.warnings, *warnings]
        if not content_differences(Document.of(before), Document.of(after)):
            return Outcome(before.tenant.version, True, warnings)
        stored = write(before, after, restored=restored) or after
        return Outcome(stored.tenant.version, False, warnings)

    return _repeated(tenant_id, content, find_tenant(tenant_id), attempt)


def rollback_platform(content: PlatformContent, restored: Restored) -> Outcome:
    """Write an old content of the platform. Raises as any change of it, and `NamesInUse`."""

    def attempt(prepared: _Prepared) -> Outcome:
        before = platform()
        _check_newest(before)
        if before.revision != prepared.revision:
            prepared = _prepare(content, before)
        now = services().clock.now()
        after, warnings = judged_platform(before, prepared.old.wanted, prepared.checked, now)
        warnings = [*prepared.warnings, *warnings]
        if not content_differences(PlatformContent.of(before), PlatformContent.of(after)):
            return Outcome(before.version, True, warnings)
        return Outcome(write_platform(before, after, restored=restored).version, False, warnings)

    return _repeated(PLATFORM_ID, content, platform(), attempt)


def _check_newest(before: PlatformDocument) -> None:
    """Raise 412 when If-Match is not the ETag of the newest version of the platform."""
    if "If-Match" not in request.headers:
        return
    note = services().store.history.note(PLATFORM_ID, before.version)
    check_match(whole_document(note, PlatformContent.of(before)) if note else {})


def _repeated(
    record: str,
    content: Document | PlatformContent,
    before: Snapshot | PlatformDocument,
    attempt: Callable[[_Prepared], Outcome],
) -> Outcome:
    # Host names are resolved before other changes of the record wait for this one.
    prepared = _prepare(content, before)

    def again() -> Outcome:
        forget_platform()
        return attempt(prepared)

    return repeat(record, again)


def _prepare(content: Document | PlatformContent, before: Snapshot | PlatformDocument) -> _Prepared:
    old = OldVersion(content, before)
    return _Prepared(before.revision, old, check_wanted(old.wanted))
