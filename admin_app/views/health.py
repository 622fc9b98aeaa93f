"""Liveness, readiness and version of the admin API."""

from typing import Any

from flask import Response, jsonify
from flask.views import MethodView
from marshmallow import Schema, fields

from admin_app.auth.access import Access, requires
from admin_app.context import services
from admin_app.http.openapi import Blueprint
from shared.core.errors import StoreDown
from shared.documents import examples

#: The same as in pyproject.toml.
VERSION = "0.1.0"

blueprint = Blueprint("health", __name__, "Liveness, readiness and version.")


class Status(Schema):
    """The state of the process."""

    status = fields.String(required=True)


class Part(Schema):
    """The state of one part."""

    ok = fields.Boolean(required=True)
    detail = fields.String(required=True)


class Readiness(Status):
    """The state of the process and of each part that it needs."""

    parts = fields.Dict(keys=fields.String(), values=fields.Nested(Part), required=True)


class Version(Schema):
    """The name and version of the program."""

    name = fields.String(required=True)
    version = fields.String(required=True)


@blueprint.route("/livez")
class Livez(MethodView):
    @requires(Access.PUBLIC)
    @blueprint.operation("getLiveness")
    @blueprint.responses(200, Status, example=examples.LIVENESS)
    def get(self) -> Response:
        """Check that the process runs"""
        return jsonify(status="ok")


@blueprint.route("/readyz")
class Readyz(MethodView):
    @requires(Access.PUBLIC)
    @blueprint.operation("getReadiness")
    @blueprint.responses(200, Readiness, example=examples.READINESS)
    @blueprint.also_responds(503, Readiness, "Not ready. See `parts`.", examples.UNREADINESS)
    def get(self) -> Response:
        """Check that the process can serve requests, part by part"""
        parts = {"store": _store(), "plugins": _plugins()}
        ok = all(part["ok"] for part in parts.values())
        response = jsonify(status="ok" if ok else "not ready", parts=parts)
        response.status_code = 200 if ok else 503
        return response


@blueprint.route("/health")
class Health(MethodView):
    get = blueprint.operation("getHealth")(Readyz.get)


@blueprint.route("/version")
class ShowVersion(MethodView):
    @requires(Access.PUBLIC)
    @blueprint.operation("getVersion")
    @blueprint.responses(200, Version, example={"name": "ai-gateway", "version": VERSION})
    def get(self) -> Response:
        """Read the version of the program"""
        return jsonify(name="ai-gateway", version=VERSION)


def _store() -> dict[str, Any]:
    try:
        services().store.ping()
    except StoreDown:
        return {"ok": False, "detail": "The store is unavailable."}
    return {"ok": True, "detail": "The store is available."}


def _plugins() -> dict[str, Any]:
    count = len(services().catalogue)
    return {"ok": count > 0, "detail": f"{count} plugins are loaded."}
