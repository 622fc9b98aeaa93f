"""What every operation documents besides its own: who may call it, its problems, its entity tag."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import flask_smorest
from flask_smorest.utils import prepare_response
from marshmallow import Schema

from admin_app.auth.access import Access
from admin_app.http import errors
from admin_app.http.bodies import BodyParser

type View = Callable[..., Any]
type Decorator = Callable[[View], View]

_BODY = (400, 409, 413, 415, 422)
_CHANGE = (409, 412)
_PRIVATE = (401, 403, 404, 429, 503)
_PROBLEMS: Mapping[str, tuple[int, ...]] = {
    "post": _BODY,
    "put": (*_BODY, *_CHANGE),
    "patch": (*_BODY, *_CHANGE),
    "delete": _CHANGE,
    "get": (304,),
}


class Api(flask_smorest.Api):  # type: ignore[misc]  # flask-smorest has no types
    """flask-smorest with problem documents as the only errors."""

    ERROR_SCHEMA = errors.ProblemDocument
    DEFAULT_ERROR_RESPONSE_NAME = None

    def _register_error_handlers(self) -> None:
        """Errors are decided in admin_app.http.errors."""

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
        """The view's first argument is what `schema` makes of the body, or of the query."""
        decorator: Decorator = self.arguments(schema, location=location, example=example)
        return decorator

    def responses(self, status: int, schema: type[Schema] | None = None, description: str = "") -> Decorator:
        """Document the answer of success. Views build their answers themselves."""
        decorator: Decorator = self.response(status, schema, description=description or None)
        return decorator

    def also_responds(self, status: int, schema: type[Schema], description: str) -> Decorator:
        """Document another answer that is no problem document."""
        decorator: Decorator = self.alt_response(status, schema=schema, description=description)
        return decorator


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
    docstring["description"] = f"{docstring.get('description', '')}\n\nNeeds {access}.".strip()
    for status in (*_PRIVATE, *_PROBLEMS[method]):
        responses.setdefault(status, HTTPStatus(status).name)
    if method != "post":
        doc.setdefault("parameters", []).append(_precondition(method))
    return doc


def _precondition(method: str) -> dict[str, Any]:
    name, then = (
        ("If-None-Match", "304 when the ETag is still this one.")
        if method == "get"
        else ("If-Match", "412 unless the ETag is still this one.")
    )
    return {"in": "header", "name": name, "description": then, "schema": {"type": "string"}}
