"""The OpenAPI document: the parts that all operations share (access, problems, ETags), and its pages."""

import json
from collections.abc import Callable, Mapping
from functools import partial, wraps
from http import HTTPStatus
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

import flask
import flask_smorest
from flask import Response, g, jsonify, redirect, request, send_from_directory
from flask_smorest.utils import prepare_response
from marshmallow import Schema, fields, validate

from admin_app.auth.access import Access, requires
from admin_app.http import errors
from admin_app.http.bodies import BodyParser, Malformed
from admin_app.http.forwarded import path_prefix
from shared.documents.plugin_config import RequiredPluginInput

type View = Callable[..., Any]
type Decorator = Callable[[View], View]
#: Raises the problems of the well-formed fields of a body; the parameters of the path are keywords.
type Judge = Callable[..., None]

_BODY = (409, 413, 415, 422)
_CHANGE = (409, 412)
# Of every operation that requires a key.
_PRIVATE = (400, 401, 403, 404, 429, 503)
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

    def _init_spec(self, **options: Any) -> None:
        super()._init_spec(**options)
        for function in (_object_bounds, _nullable_choice, _default_as_text):
            self.ma_plugin.converter.add_attribute_function(function)
        # Only the hand-written schema of `RequiredPlugins` refers to it.
        self.spec.components.schema("RequiredPluginInput", schema=RequiredPluginInput)

    def _register_error_handlers(self) -> None:
        """Do nothing: `admin_app.http.errors` handles all errors."""

    def _register_pagination_header(self) -> None:
        """Do nothing: lists have cursors, no numbered pages."""

    def _register_responses(self) -> None:
        for status in HTTPStatus:
            response: dict[str, Any] = {"description": status.phrase}
            if status >= 400:
                response["schema"] = self.ERROR_SCHEMA
                response["example"] = errors.example(status)
            prepare_response(response, self.spec, errors.CONTENT_TYPE)
            self.spec.components.response(status.name, response, lazy=True)


def _object_bounds(_: Any, field: fields.Field[Any], ret: dict[str, Any], **__: Any) -> dict[str, Any]:
    """The bounds of a map: apispec writes those of a text, and none for the names."""
    if not isinstance(field, fields.Dict):
        return {}
    lengths = {"minLength": "minProperties", "maxLength": "maxProperties"}
    bounds: dict[str, Any] = {name: ret.pop(length) for length, name in lengths.items() if length in ret}
    names: dict[str, Any] = {}
    for one in field.key_field.validators if field.key_field else ():
        if isinstance(one, validate.Regexp):
            names["pattern"] = one.regex.pattern
        elif isinstance(one, validate.Length):
            names["maxLength"] = one.max
    return {**bounds, "propertyNames": names} if names else bounds


def _nullable_choice(_: Any, field: fields.Field[Any], ret: dict[str, Any], **__: Any) -> dict[str, Any]:
    """A choice or null, for which generators make one type and not three."""
    if not field.allow_none or "enum" not in ret:
        return {}
    ret.pop("type", None)
    words = [word for word in ret.pop("enum") if word is not None]
    return {"anyOf": [{"type": "string", "enum": words}, {"type": "null"}]}


def _default_as_text(_: Any, field: fields.Field[Any], ret: dict[str, Any], **__: Any) -> dict[str, Any]:
    """The default in the description. For a field with `default`, generators of TypeScript demand a value."""
    default = ret.pop("default", None)
    if default is None:
        return {}
    description = f"{ret.get('description', '')} Default: {json.dumps(default)}.".lstrip()
    return {"description": description}


class Blueprint(flask_smorest.Blueprint):  # type: ignore[misc]  # as above
    """One resource: its views and their documentation."""

    ARGUMENTS_PARSER = BodyParser()

    def __init__(self, name: str, import_name: str, description: str) -> None:
        super().__init__(name, import_name, description=description)
        self._prepare_doc_cbks.append(_document_common)

    def operation(self, name: str) -> Decorator:
        """Name the operation, for generators of clients and for the log."""

        def mark(view: View) -> View:
            named = cast("View", self.doc(operationId=name)(view))
            named.operation = name  # type: ignore[attr-defined]
            return named

        return mark

    def reads(
        self,
        schema: type[Schema] | Schema,
        *,
        location: str = "json",
        example: Any = None,
        judge: Judge | None = None,
    ) -> Decorator:
        """Pass the body or query, as loaded by `schema`, as the view's first argument.

        If fields of a body are malformed, `judge` raises the problems of the others, so that a caller gets
        all of them together. It gets these fields and the parameters of the path.
        """
        # To make a schema takes longer than to use it.
        made = schema() if isinstance(schema, type) else schema
        parse = cast("Decorator", self.arguments(made, location=location, example=example))
        return parse if judge is None else lambda view: _judged(parse(view), judge)

    def responses(
        self,
        status: int,
        schema: type[Schema] | dict[str, Any] | None = None,
        description: str = "",
        example: Any = None,
    ) -> Decorator:
        """Document the successful response. Views build it themselves."""
        return cast(
            "Decorator", self.response(status, schema, description=description or None, example=example)
        )

    def responds_text(self, content_type: str, description: str, example: str) -> Decorator:
        """Document the successful response that is a text."""
        kind = {"type": "string"}
        return cast(
            "Decorator",
            self.response(200, kind, description=description, example=example, content_type=content_type),
        )

    def also_responds(
        self, status: int, schema: type[Schema], description: str, example: Any = None
    ) -> Decorator:
        """Document another response that is not problem details."""
        return cast(
            "Decorator",
            self.alt_response(status, schema=schema, description=description, example=example),
        )


def _judged(view: View, judge: Judge) -> View:
    @wraps(view)
    def judged(*args: Any, **ids: str) -> Any:
        try:
            return view(*args, **ids)
        except Malformed as error:
            # Of a body that is no object, there is nothing to judge.
            raise error.judged(partial(judge, **ids)) if isinstance(g.body, Mapping) else error from None

    return judged


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
    if "idempotent" in doc_info:
        doc.setdefault("parameters", []).append(doc_info["idempotent"])
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
    """/openapi.json, and Swagger UI at /docs. All assets are local, so it works without a network.

    The page has relative links only, so it also works below the path prefix of a proxy.
    """
    blueprint = flask.Blueprint("docs", __name__)

    @blueprint.get("/openapi.json")
    @requires(Access.PUBLIC)
    def openapi() -> Response:
        return jsonify({**api.spec.to_dict(), "servers": [{"url": path_prefix() or "/"}]})

    @blueprint.get("/docs")
    @requires(Access.PUBLIC)
    def page() -> Response | flask.typing.ResponseReturnValue:
        if request.path.endswith("/"):
            return redirect("../docs", 308)
        return send_from_directory(_OWN, "docs.html")

    @blueprint.get("/docs/<name>")
    @requires(Access.PUBLIC)
    def asset(name: str) -> Response:
        folder = _FILES.get(name)
        if folder is None:
            raise errors.not_found("page")
        return send_from_directory(folder, name)

    return blueprint
