"""The OpenAPI document: the parts that all operations share (access, problems, ETags), and its pages."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

import flask
import flask_smorest
from flask import Response, jsonify, send_from_directory
from flask_smorest.utils import prepare_response
from marshmallow import Schema

from admin_app.auth.access import Access, requires
from admin_app.http import errors
from admin_app.http.bodies import BodyParser

type View = Callable[..., Any]
type Decorator = Callable[[View], View]

_BODY = (400, 409, 413, 415, 422)
_CHANGE = (409, 412)
# Of every operation that requires a key.
_PRIVATE = (401, 403, 404, 429, 503)
_STATUSES: Mapping[str, tuple[int, ...]] = {
    "post": _BODY,
    "put": (*_BODY, *_CHANGE),
    "patch": (*_BODY, *_CHANGE),
    "delete": _CHANGE,
    "get": (304,),
}

_OWN = Path(__file__).parents[1] / "static"
_SWAGGER = Path(str(files("flask_swagger_ui"))) / "dist"
#: The assets of the page, each with its folder.
_FILES = {
    "start.js": _OWN,
    "swagger-ui.css": _SWAGGER,
    "swagger-ui-bundle.js": _SWAGGER,
    "favicon-32x32.png": _SWAGGER,
}


class Api(flask_smorest.Api):  # type: ignore[misc]  # flask-smorest has no types
    """flask-smorest, with problem details as the only errors."""

    ERROR_SCHEMA = errors.ProblemDocument
    DEFAULT_ERROR_RESPONSE_NAME = None

    def _register_error_handlers(self) -> None:
        """Do nothing: `admin_app.http.errors` handles all errors."""

    def _register_responses(self) -> None:
        for status in HTTPStatus:
            response: dict[str, Any] = {"description": status.phrase}
            if status >= 400:
                response["schema"] = self.ERROR_SCHEMA
            prepare_response(response, self.spec, errors.CONTENT_TYPE)
            self.spec.components.response(status.name, response, lazy=True)


class Blueprint(flask_smorest.Blueprint):  # type: ignore[misc]  # as above
    """One resource: its views and their documentation."""

    ARGUMENTS_PARSER = BodyParser()

    def __init__(self, name: str, import_name: str, description: str) -> None:
        super().__init__(name, import_name, description=description)
        self._prepare_doc_cbks.append(_document_common)

    def reads(
        self, schema: type[Schema] | Schema, *, location: str = "json", example: Any = None
    ) -> Decorator:
        """Pass the body or query, as loaded by `schema`, as the view's first argument."""
        return cast("Decorator", self.arguments(schema, location=location, example=example))

    def responses(self, status: int, schema: type[Schema] | None = None, description: str = "") -> Decorator:
        """Document the successful response. Views build it themselves."""
        return cast("Decorator", self.response(status, schema, description=description or None))

    def also_responds(self, status: int, schema: type[Schema], description: str) -> Decorator:
        """Document another response that is not problem details."""
        return cast("Decorator", self.alt_response(status, schema=schema, description=description))


def _document_common(
    doc: dict[str, Any], doc_info: dict[str, Any], *, method: str, **_: Any
) -> dict[str, Any]:
    access: Access = doc_info["access"]
    responses = doc.setdefault("responses", {})
    if access is Access.PUBLIC:
        doc["security"] = []
        responses[403] = HTTPStatus(403).name
        return doc
    docstring = doc_info["docstring"]
    docstring["description"] = f"{docstring.get('description', '')}\n\nRequires {access}.".strip()
    for status in (*_PRIVATE, *_STATUSES[method]):
        responses.setdefault(status, HTTPStatus(status).name)
    if method != "post":
        doc.setdefault("parameters", []).append(_precondition(method))
    return doc


def _precondition(method: str) -> dict[str, Any]:
    name, effect = (
        ("If-None-Match", "An ETag. The response is 304 if it still matches.")
        if method == "get"
        else ("If-Match", "An ETag. The response is 412 if it no longer matches.")
    )
    return {"in": "header", "name": name, "description": effect, "schema": {"type": "string"}}


def docs_blueprint(api: Api) -> flask.Blueprint:
    """/openapi.json, and Swagger UI at /docs. All assets are local, so it works without a network."""
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
            raise errors.not_found("page")
        return send_from_directory(folder, name)

    return blueprint
