"""/audit: all changes of the configuration, with their authors."""

from collections.abc import Iterator, Mapping
from typing import Any

from flask import Response
from flask.views import MethodView

from admin_app.auth.access import Access, caller, requires
from admin_app.context import services
from admin_app.http.openapi import Blueprint
from admin_app.http.responses import response
from shared.config_store.history.audit import AuditEntry, SignedEntry
from shared.config_store.layout import EVENTS_ID, PLATFORM_ID, TOKENS_ID
from shared.documents.history.audit import ENTRIES, AuditList, AuditQuery, audit_document

# The most entries that one page looks at, and that one call reads.
_MAX_LOOKED_AT = 10_000
_AT_ONCE = 500
# Owners that are shown as the platform.
_PLATFORMS = (TOKENS_ID, EVENTS_ID)

blueprint = Blueprint("audit", __name__, "All changes of the configuration, with their authors.")


@blueprint.route("/audit")
class Audit(MethodView):
    @requires(Access.ADMIN)
    @blueprint.operation("listAudit")
    @blueprint.reads(AuditQuery, location="query")
    @blueprint.responses(200, AuditList, example=ENTRIES)
    def get(self, query: dict[str, Any]) -> Response:
        """List the changes of the configuration, the newest first

        An API key sees those of its tenant. Secrets are not shown. A page looks at 10,000 entries at most, so
        it can be short; follow `next_cursor`.
        """
        own = caller().tenant_id
        wanted = {**query, "tenant": own or query["tenant"]}
        found: list[dict[str, Any]] = []
        last: SignedEntry | None = None
        for looked_at, signed in enumerate(_entries(query["cursor"]), 1):
            last = signed
            if _is_wanted(signed.entry, wanted):
                document = audit_document(signed)
                if own and not document["actor"].startswith("key:"):
                    document["address"] = None  # that of an operator
                found.append(document)
            if len(found) == query["limit"] or looked_at == _MAX_LOOKED_AT:
                break
        else:
            last = None
        return response({"entries": found, "next_cursor": last and last.id})


def _entries(before: str | None) -> Iterator[SignedEntry]:
    """The entries before an id, the newest first."""
    while found := services().store.history.entries(_AT_ONCE, before):
        yield from found
        before = found[-1].id


def _is_wanted(entry: AuditEntry, query: Mapping[str, Any]) -> bool:
    return (
        query["tenant"] in (None, entry.owner, PLATFORM_ID if entry.owner in _PLATFORMS else entry.owner)
        and query["actor"] in (None, entry.actor)
        and query["operation"] in (None, entry.operation)
        and (query["since"] is None or entry.at >= query["since"])
        and (query["until"] is None or entry.at < query["until"])
    )
