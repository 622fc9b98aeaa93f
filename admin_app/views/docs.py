"""/openapi.json, and Swagger UI at /docs. All assets are local, so the page works without a network."""

from importlib.resources import files
from pathlib import Path

import flask
from flask import Response, jsonify, send_from_directory

from admin_app.auth.access import Access, requires
from admin_app.http.errors import not_found
from admin_app.http.openapi import Api

_OWN = Path(__file__).parents[1] / "static"
_SWAGGER = Path(str(files("flask_swagger_ui"))) / "dist"
#: The assets of the page, each with its folder.
_FILES = {
    "start.js": _OWN,
    "swagger-ui.css": _SWAGGER,
    "swagger-ui-bundle.js": _SWAGGER,
    "favicon-32x32.png": _SWAGGER,
}


def docs_blueprint(api: Api) -> flask.Blueprint:
    """The pages that document `api`."""
    blueprint = flask.Blueprint("docs", __name__)

    @blueprint.get("/openapi.json")
    @requires(Access.PUBLIC)
    def openapi() -> Response:
        return jsonify(api.spec.to_dict())

    @blueprint.get("/docs")
    @requires(Access.PUBLIC)
    def page() -> Response:
        return send_from_directory(_OWN, "docs.html")

    @blueprint.get("/docs/<name>")
    @requires(Access.PUBLIC)
    def asset(name: str) -> Response:
        folder = _FILES.get(name)
        if folder is None:
            raise not_found("page")
        return send_from_directory(folder, name)

    return blueprint
