"""Liveness, readiness and version of the admin API."""

from flask import Response, jsonify
from flask.views import MethodView
from marshmallow import Schema, fields

from admin_app.auth.access import Access, is_operator, requires
from admin_app.context import services
from admin_app.http.openapi import Blueprint
from shared.core import VERSION
from shared.core.errors import StoreDown, StoreLost
from shared.documents import examples
from shared.http.readiness import HEALTH, OK, READY, STORE_LOST, UNAVAILABLE, readiness

blueprint = Blueprint("health", __name__, "Liveness, readiness and version.")


class Status(Schema):
    """The state of the process."""

    status = fields.String(required=True)


class Store(Schema):
    """The store in use."""

    address = fields.String(required=True)
    mode = fields.String(required=True, metadata={"description": "embedded or external."})
    tenants = fields.Integer(metadata={"description": "Missing when the store does not respond."})
    faults = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        metadata={
            "description": "The tenants whose stored document cannot be used, and why: the proxies serve the "
            "last good version. Missing when the store does not respond."
        },
    )


class Readiness(Status):
    """The state of the process and of each part that it needs."""

    parts = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        required=True,
        metadata={"description": "ok, unavailable, store lost or draining, by the name of the part."},
    )
    store = fields.Nested(
        Store, metadata={"description": "For the platform's key, and for callers on this machine."}
    )


class Version(Schema):
    """The name and version of the program."""

    name = fields.String(required=True)
    version = fields.String(required=True)


@blueprint.route(HEALTH)
class Health(MethodView):
    @requires(Access.PUBLIC)
    @blueprint.operation("getHealth")
    @blueprint.responses(200, Status, example=examples.LIVENESS)
    def get(self) -> Response:
        """Check that the process runs"""
        return jsonify(status=OK)


@blueprint.route(READY)
class Ready(MethodView):
    @requires(Access.PUBLIC)
    @blueprint.operation("getReadiness")
    @blueprint.responses(200, Readiness, example=examples.READINESS)
    @blueprint.also_responds(503, Readiness, "Not ready. See `parts`.", examples.UNREADINESS)
    def get(self) -> Response:
        """Check that the process can serve requests, part by part"""
        found = parts()
        # Without its store the admin API can serve nothing.
        status, document = readiness(found, serves=UNAVAILABLE not in found.values())
        if is_operator():
            document["store"] = _description(counts=found["store"] != UNAVAILABLE)
        response = jsonify(document)
        response.status_code = status
        return response


@blueprint.route("/livez")
class Livez(MethodView):
    get = blueprint.operation("getLivez")(Health.get)


@blueprint.route("/readyz")
class Readyz(MethodView):
    get = blueprint.operation("getReadyz")(Ready.get)


@blueprint.route("/health")
class OldHealth(MethodView):
    get = blueprint.operation("getOldHealth")(Ready.get)


@blueprint.route("/version")
class ShowVersion(MethodView):
    @requires(Access.PUBLIC)
    @blueprint.operation("getVersion")
    @blueprint.responses(200, Version, example={"name": "ai-gateway", "version": VERSION})
    def get(self) -> Response:
        """Read the version of the program"""
        return jsonify(name="ai-gateway", version=VERSION)


def parts() -> dict[str, str]:
    """The state of each part that this process needs."""
    return {"store": _store(), "plugins": OK if services().catalogue else UNAVAILABLE}


def _store() -> str:
    try:
        services().store.ping()
    except StoreLost:
        return STORE_LOST
    except StoreDown:
        return UNAVAILABLE
    return OK


def _description(*, counts: bool) -> dict[str, object]:
    """The store in use, with its number of tenants when it responds."""
    address = services().address
    described: dict[str, object] = {"address": address.name, "mode": address.mode}
    if not counts:
        return described
    store = services().store
    return {**described, "tenants": store.count(), "faults": store.faults()}
