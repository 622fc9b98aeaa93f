"""Whether the admin API lives, and whether it can work."""

from typing import Any

from flask import Response, jsonify
from flask.views import MethodView
from marshmallow import Schema, fields

from admin_app.auth.access import Access, needs
from admin_app.http.openapi import Blueprint
from admin_app.services import current
from shared.core.errors import StoreDown

#: The same as in pyproject.toml.
VERSION = "0.1.0"

blueprint = Blueprint("health", __name__, "Whether the admin API lives, and whether it can work.")


class Status(Schema):
    """ok, or not."""

    status = fields.String(required=True)


class Part(Schema):
    """One thing that is needed."""

    ok = fields.Boolean(required=True)
    detail = fields.String(required=True)


class Readiness(Status):
    """ok, or not, and why not, part by part."""

    parts = fields.Dict(keys=fields.String(), values=fields.Nested(Part), required=True)


class Version(Schema):
    """Which program this is."""

    name = fields.String(required=True)
    version = fields.String(required=True)


@blueprint.route("/livez")
class Livez(MethodView):
    @needs(Access.PUBLIC)
    @blueprint.responses(200, Status)
    def get(self) -> Response:
        """Say that the process runs"""
        return jsonify(status="ok")


@blueprint.route("/readyz")
class Readyz(MethodView):
    @needs(Access.PUBLIC)
    @blueprint.responses(200, Readiness)
    @blueprint.also_responds(503, Readiness, "Not ready; parts says why.")
    def get(self) -> Response:
        """Say whether calls can be answered, part by part"""
        return _readiness()


@blueprint.route("/health")
class Health(MethodView):
    @needs(Access.PUBLIC)
    @blueprint.responses(200, Readiness)
    @blueprint.also_responds(503, Readiness, "Not ready; parts says why.")
    def get(self) -> Response:
        """The same as /readyz"""
        return _readiness()


@blueprint.route("/version")
class ShowVersion(MethodView):
    @needs(Access.PUBLIC)
    @blueprint.responses(200, Version)
    def get(self) -> Response:
        """Say which version runs"""
        return jsonify(name="ai-gateway", version=VERSION)


def _readiness() -> Response:
    parts = {"store": _store(), "plugins": _plugins()}
    ok = all(part["ok"] for part in parts.values())
    response = jsonify(status="ok" if ok else "not ready", parts=parts)
    response.status_code = 200 if ok else 503
    return response


def _store() -> dict[str, Any]:
    try:
        current().store.ping()
    except StoreDown:
        return {"ok": False, "detail": "The store does not answer."}
    return {"ok": True, "detail": "The store answers."}


def _plugins() -> dict[str, Any]:
    count = len(current().catalogue)
    return {"ok": count > 0, "detail": f"{count} plugins are loaded."}
