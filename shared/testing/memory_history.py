"""The versions and the audit log in the memory of one process."""

import json
from collections.abc import Sequence
from dataclasses import replace

from shared.config_store.history.audit import AuditEntry, AuditKey, SignedEntry
from shared.config_store.history.edit import KEPT_VERSIONS, MAX_PINNED, Edit
from shared.config_store.history.versions import VersionNote
from shared.config_store.layout import EVENTS_ID, PLATFORM_ID, TOKENS_ID
from shared.config_store.records.contents import Content, Document, PlatformContent
from shared.config_store.records.tenants import Change
from shared.model.providers import PlatformDocument


class MemoryHistory:
    """A `History`."""

    #: Versions of a content that are kept besides the pinned ones.
    kept_versions = KEPT_VERSIONS

    def __init__(self) -> None:
        self._versions: dict[str, dict[int, tuple[VersionNote, Content]]] = {}
        self._entries: list[SignedEntry] = []
        self._event = 0

    def notes(self, owner: str, limit: int, before: int | None = None) -> Sequence[VersionNote]:
        found = [note for note, _ in reversed(self._versions.get(owner, {}).values())]
        return [note for note in found if before is None or note.version < before][:limit]

    def note(self, owner: str, number: int) -> VersionNote | None:
        note, _ = self._versions.get(owner, {}).get(number, (None, None))
        return note

    def content(self, owner: str, note: VersionNote) -> Content | None:
        _, content = self._versions.get(owner, {}).get(note.version, (None, None))
        return content

    def pin(self, owner: str, note: VersionNote, *, pinned: bool) -> bool | None:
        versions = self._versions.get(owner, {})
        if note.version not in versions:
            return None
        found, content = versions[note.version]
        if pinned and not found.pinned and sum(one.pinned for one, _ in versions.values()) >= MAX_PINNED:
            return False
        versions[note.version] = replace(found, pinned=pinned), content
        return True

    def entries(self, limit: int, before: str | None = None) -> Sequence[SignedEntry]:
        found = [one for one in reversed(self._entries) if before is None or int(one.id) < int(before)]
        return found[:limit]

    def add_tenant(self, change: Change, edit: Edit, number: int) -> None:
        """Note a change of a tenant, and its new version if it has one."""
        after, owner = change.after, change.tenant_id
        before = str(change.before.revision) if change.before else ""
        version = after.tenant.version if after else None
        entry = AuditEntry.of(edit, owner=owner, action=change.action, version=version, before=before)
        self._log(entry, number)
        if after is None:
            self._versions.pop(owner, None)
        elif change.has_new_document:
            self._add(owner, after.tenant.version, after.tenant.updated_at, Document.of(after), edit)

    def add_platform(self, before: PlatformDocument, after: PlatformDocument, edit: Edit) -> None:
        """Note a change of the platform."""
        entry = AuditEntry.of(
            edit, owner=PLATFORM_ID, action="update", version=after.version, before=str(before.revision)
        )
        self._log(entry, after.revision)
        self._add(PLATFORM_ID, after.version, after.updated_at, PlatformContent.of(after), edit)

    def add_event(self, edit: Edit, number: int) -> None:
        """Note what changes nothing."""
        entry = AuditEntry.of(edit, owner=EVENTS_ID, action="event", version=None, before=str(self._event))
        self._log(entry, number)
        self._event = number

    def add_tokens(self, before: int, edit: Edit, number: int) -> None:
        """Note a change of the tokens of the platform."""
        action = "update" if before else "create"
        entry = AuditEntry.of(edit, owner=TOKENS_ID, action=action, version=None, before=str(before))
        self._log(entry, number)

    def _log(self, entry: AuditEntry, number: int) -> None:
        signed = AuditKey().sign(entry)
        self._entries.append(SignedEntry(str(number), signed["entry"].encode(), signed["mac"], number))

    def _add(self, owner: str, version: int, at: float, content: Content, edit: Edit) -> None:
        note = VersionNote(
            version=version,
            root=json.dumps([owner, version]),
            actor=edit.actor,
            at=at,
            source=edit.source,
            message=edit.message,
            summary=edit.summary,
            restored=edit.restored,
            file=edit.file,
        )
        versions = self._versions.setdefault(owner, {})
        versions[version] = note, content
        loose = [number for number, (one, _) in versions.items() if not one.pinned]
        for number in loose[: -self.kept_versions]:
            del versions[number]
