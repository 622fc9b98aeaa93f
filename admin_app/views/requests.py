"""/requests and /tenants/{id}/requests: what happened to requests that are over."""

from collections.abc import Mapping
from typing import Any

from flask import Response
from flask.views import MethodView

from admin_app.auth.access import Access, requires
from admin_app.auth.field_access import visible_keys
from admin_app.changes.snapshot import find_tenant
from admin_app.context import services
from admin_app.http.errors import ApiError
from admin_app.http.openapi import Blueprint
from admin_app.http.responses import response
from shared.documents.request import (
    REQUESTS,
    RequestList,
    RequestsQuery,
    filter_of,
    request_document,
)
from shared.documents.request_detail import REQUEST, RequestDetail, detail_document
from shared.records.keys import ALL
from shared.records.reader import RecordReader

blueprint = Blueprint("requests", __name__, "The newest requests that are over, and their decisions.")


@blueprint.route("/requests")
class PlatformRequests(MethodView):
    @requires(Access.PLATFORM)
    @blueprint.operation("listPlatformRequests")
    @blueprint.reads(RequestsQuery, location="query")
    @blueprint.responses(200, RequestList, example=REQUESTS)
    def get(self, query: dict[str, Any]) -> Response:
        """List the requests of all tenants, the newest first

        Requests that led to no tenant are in the list, too.
        """
        return _page(ALL, query)


@blueprint.route("/requests/<path:request_id>")
class PlatformRequest(MethodView):
    @requires(Access.PLATFORM)
    @blueprint.operation("getPlatformRequest")
    @blueprint.responses(200, RequestDetail, example=REQUEST)
    def get(self, request_id: str) -> Response:
        """Read a request of any tenant, or of none, with its decision

        `request_id` is as in the other call, or an `id` of the list of all tenants.
        """
        with services().reading(RecordReader) as reader:
            record = reader.find(ALL, request_id)
            tenant = record and record.event.get("tenant")
            if record is not None and tenant is not None:
                # Only the list of the tenant has the decision.
                record = reader.find_same(tenant, record.event) or record
        if record is None:
            raise _not_found()
        return response(detail_document(record))


@blueprint.route("/tenants/<tenant_id>/requests")
class Requests(MethodView):
    @requires(Access.READ)
    @blueprint.operation("listRequests")
    @blueprint.reads(RequestsQuery, location="query")
    @blueprint.responses(200, RequestList, example=REQUESTS)
    def get(self, query: dict[str, Any], tenant_id: str) -> Response:
        """List the requests of a tenant, the newest first

        A request is listed within a second after its end. `records.per_tenant` bounds the list, and a page
        looks at 10,000 requests at most. To follow new requests, send the newest `id` as `after`.
        """
        find_tenant(tenant_id)
        return _page(tenant_id, query)


@blueprint.route("/tenants/<tenant_id>/requests/<path:request_id>")
class OneRequest(MethodView):
    @requires(Access.READ)
    @blueprint.operation("getRequest")
    @blueprint.responses(200, RequestDetail, example=REQUEST)
    def get(self, tenant_id: str, request_id: str) -> Response:
        """Read a request with its decision

        `request_id` is the `id` of the record, or the `X-Request-ID` of the response. If several requests had
        that id, it is the newest.
        """
        tenant = find_tenant(tenant_id).tenant
        with services().reading(RecordReader) as reader:
            record = reader.find(tenant_id, request_id)
        if record is None:
            raise _not_found()
        return response(detail_document(record, visible_keys(tenant)))


def _page(owner: str, query: Mapping[str, Any]) -> Response:
    with services().reading(RecordReader) as reader:
        page = reader.page(
            owner, filter_of(query), limit=query["limit"], after=query["after"], before=query["before"]
        )
    documents = [request_document(record) for record in page.records]
    return response(
        {
            "requests": documents,
            "next_cursor": page.next_cursor,
            "recorded": page.recorded,
            "newest": page.newest,
        }
    )


def _not_found() -> ApiError:
    """404 that says how long requests are kept."""
    most = services().settings.records.per_tenant
    if not most:
        return ApiError("not_found", "No requests are kept: `records.per_tenant` is 0.")
    detail = "There is no such request, or it is no longer kept. "
    kept = f"About the newest {most:,} requests of a tenant are kept, until a day after the newest one."
    return ApiError("not_found", detail + kept)
