"""/tenants/{id}/versions and /platform/versions: every state of the configuration that is kept."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from flask import Response
from flask.views import MethodView

from admin_app.auth.access import Access, requires
from admin_app.changes.attempts import Restored, edit_of
from admin_app.changes.snapshot import find_tenant, note_event
from admin_app.changes.whole.rollback import Outcome, rollback_platform, rollback_tenant
from admin_app.context import services
from admin_app.http.errors import ApiError, not_found
from admin_app.http.openapi import Blueprint
from admin_app.http.paging import PageQuery, invalid_cursor, page_response
from admin_app.http.responses import response
from shared.config_store.history.audit import beginning
from shared.config_store.history.edit import MAX_PINNED
from shared.config_store.history.versions import VersionNote
from shared.config_store.layout import PLATFORM_ID
from shared.config_store.records.contents import Content, Document, PlatformContent
from shared.documents import examples
from shared.documents.history.differences import content_differences, names_of, summary
from shared.documents.history.versions import (
    DETAIL,
    DIFF,
    ROLLBACK,
    VERSION,
    DiffQuery,
    PinInput,
    RollbackInput,
    RollbackOutput,
    VersionDetail,
    VersionDiff,
    VersionList,
    VersionOutput,
    version_document,
    whole_document,
)

blueprint = Blueprint("versions", __name__, "Every state of the configuration that is kept.")
_PAGE = examples.page("versions", VERSION)
_MAX_DIFFERENCES_BYTES = 256 * 1024
# No version has so many.
_MAX_DIGITS = 16


@blueprint.route("/tenants/<tenant_id>/versions")
class Versions(MethodView):
    @requires(Access.READ)
    @blueprint.operation("listTenantVersions")
    @blueprint.reads(PageQuery, location="query")
    @blueprint.responses(200, VersionList, example=_PAGE)
    def get(self, query: dict[str, Any], tenant_id: str) -> Response:
        """List the versions of a tenant, the newest first

        Each change of its rules, chains, providers, models or settings makes one. Up to 200 are kept, and the
        pinned ones. API keys, `status` and `subdomain` are not in versions.
        """
        return _list(_owner(tenant_id), query)


@blueprint.route("/tenants/<tenant_id>/versions/<version>")
class OneVersion(MethodView):
    @requires(Access.READ)
    @blueprint.operation("getTenantVersion")
    @blueprint.responses(200, VersionDetail, example=DETAIL)
    def get(self, tenant_id: str, version: str) -> Response:
        """Read a version with its document"""
        return _detail(_owner(tenant_id), version)


@blueprint.route("/tenants/<tenant_id>/versions/<version>/diff")
class Diff(MethodView):
    @requires(Access.READ)
    @blueprint.operation("getTenantVersionDiff")
    @blueprint.reads(DiffQuery, location="query")
    @blueprint.responses(200, VersionDiff, example=DIFF)
    def get(self, query: dict[str, Any], tenant_id: str, version: str) -> Response:
        """Compare a version with an older one

        Secrets are not shown; `changed` says that another one was stored.
        """
        return _diff(_owner(tenant_id), version, query["against"])


@blueprint.route("/tenants/<tenant_id>/versions/<version>/pin")
class Pin(MethodView):
    @requires(Access.ADMIN)
    @blueprint.operation("pinTenantVersion")
    @blueprint.reads(PinInput, example={"pinned": True})
    @blueprint.responses(200, VersionOutput, example={**VERSION, "pinned": True})
    def post(self, sent: dict[str, Any], tenant_id: str, version: str) -> Response:
        """Keep a version, however old it is, or no longer"""
        return _pin(_owner(tenant_id), version, pinned=sent["pinned"])


@blueprint.route("/tenants/<tenant_id>/versions/<version>/rollback")
class Rollback(MethodView):
    @requires(Access.ADMIN)
    @blueprint.operation("rollbackTenant")
    @blueprint.reads(RollbackInput, example={"message": "The new rules reject too much."})
    @blueprint.responses(200, RollbackOutput, example=ROLLBACK)
    def post(self, sent: dict[str, Any], tenant_id: str, version: str) -> Response:
        """Make a new version with the content of an old one

        It is checked like any change. API keys, `status` and `subdomain` stay, and so does each secret that
        is still stored. Deleted keys of providers do not come back. Called with an API key, the fields that
        only the platform may write stay.
        """
        note, content = _read(_owner(tenant_id), version)
        restored = Restored(note.version, sent["message"])
        return _rolled_back(tenant_id, rollback_tenant(tenant_id, cast(Document, content), restored))


@blueprint.route("/platform/versions")
class PlatformVersions(MethodView):
    @requires(Access.PLATFORM)
    @blueprint.operation("listPlatformVersions")
    @blueprint.reads(PageQuery, location="query")
    @blueprint.responses(200, VersionList, example=_PAGE)
    def get(self, query: dict[str, Any]) -> Response:
        """List the versions of the platform's providers, models and prices, the newest first"""
        return _list(PLATFORM_ID, query)


@blueprint.route("/platform/versions/<version>")
class OnePlatformVersion(MethodView):
    @requires(Access.PLATFORM)
    @blueprint.operation("getPlatformVersion")
    @blueprint.responses(200, VersionDetail, example=DETAIL)
    def get(self, version: str) -> Response:
        """Read a version of the platform with its document"""
        return _detail(PLATFORM_ID, version)


@blueprint.route("/platform/versions/<version>/diff")
class PlatformDiff(MethodView):
    @requires(Access.PLATFORM)
    @blueprint.operation("getPlatformVersionDiff")
    @blueprint.reads(DiffQuery, location="query")
    @blueprint.responses(200, VersionDiff, example=DIFF)
    def get(self, query: dict[str, Any], version: str) -> Response:
        """Compare a version of the platform with an older one"""
        return _diff(PLATFORM_ID, version, query["against"])


@blueprint.route("/platform/versions/<version>/pin")
class PlatformPin(MethodView):
    @requires(Access.PLATFORM)
    @blueprint.operation("pinPlatformVersion")
    @blueprint.reads(PinInput, example={"pinned": True})
    @blueprint.responses(200, VersionOutput, example={**VERSION, "pinned": True})
    def post(self, sent: dict[str, Any], version: str) -> Response:
        """Keep a version of the platform, however old it is, or no longer"""
        return _pin(PLATFORM_ID, version, pinned=sent["pinned"])


@blueprint.route("/platform/versions/<version>/rollback")
class PlatformRollback(MethodView):
    @requires(Access.PLATFORM)
    @blueprint.operation("rollbackPlatform")
    @blueprint.reads(RollbackInput, example={"message": "The new prices are wrong."})
    @blueprint.responses(200, RollbackOutput, example=ROLLBACK)
    def post(self, sent: dict[str, Any], version: str) -> Response:
        """Make a new version of the platform with the content of an old one

        It is checked like any change. The status is 409 while tenants name what the old version lacks.
        `If-Match` takes the `ETag` of the newest version.
        """
        note, content = _read(PLATFORM_ID, version)
        restored = Restored(note.version, sent["message"])
        return _rolled_back(PLATFORM_ID, rollback_platform(cast(PlatformContent, content), restored))


def _owner(tenant_id: str) -> str:
    """The id of a tenant that exists and is the caller's. Raises 404."""
    return find_tenant(tenant_id).tenant.id


def _list(owner: str, query: Mapping[str, Any]) -> Response:
    cursor, limit = query["cursor"], query["limit"]
    if cursor is not None and not (cursor.isascii() and cursor.isdecimal()):
        raise invalid_cursor()
    found = services().store.history.notes(owner, limit + 1, int(cursor) if cursor else None)
    page = found[:limit]
    more = str(page[-1].version) if len(found) > limit else None
    return page_response("versions", [version_document(note) for note in page], more)


def _detail(owner: str, version: str) -> Response:
    note, content = _read(owner, version)
    return response(whole_document(note, content))


def _diff(owner: str, version: str, against: int | None) -> Response:
    note, content = _read(owner, version)
    if against is None:
        older = services().store.history.notes(owner, 1, note.version)
        against = older[0].version if older else None
    before = None if against is None else _read(owner, str(against))[1]
    differences = content_differences(before, content)
    first = beginning(differences, _MAX_DIFFERENCES_BYTES)
    return response(
        {
            "version": note.version,
            "against": against,
            "summary": summary(differences, names_of(differences, before, content)),
            "differences": first,
            "cut": len(first) < len(differences),
        }
    )


def _pin(owner: str, version: str, *, pinned: bool) -> Response:
    note = _note(owner, version)
    done = services().store.history.pin(owner, note, pinned=pinned)
    if done is None:
        raise not_found("version")
    if not done:
        detail = f"{MAX_PINNED} versions are pinned, which is the maximum. Unpin one first."
        raise ApiError("limit_reached", detail)
    _note_pin(owner, f"version {note.version} {'pinned' if pinned else 'unpinned'}")
    return response(version_document(_note(owner, version)))


def _note_pin(owner: str, summary: str) -> None:
    """Add an entry to the audit log."""
    if owner == PLATFORM_ID:
        services().store.tokens.add_event(replace(edit_of([], {}), summary=summary))
    else:
        note_event(owner, lambda _: summary)


def _rolled_back(owner: str, outcome: Outcome) -> Response:
    extra = {"unchanged": outcome.is_unchanged, "warnings": outcome.warnings}
    return response({**version_document(_note(owner, str(outcome.version))), **extra})


def _note(owner: str, version: str) -> VersionNote:
    """A version that is kept. Raises 404."""
    is_number = version.isascii() and version.isdecimal() and len(version) < _MAX_DIGITS
    note = services().store.history.note(owner, int(version)) if is_number else None
    if note is None:
        raise not_found("version")
    return note


def _read(owner: str, version: str) -> tuple[VersionNote, Content]:
    """A version and its content. Raises 404."""
    note = _note(owner, version)
    content = services().store.history.content(owner, note)
    if content is None:
        raise not_found("version")
    return note, content
