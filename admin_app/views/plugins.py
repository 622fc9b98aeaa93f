"""/plugins: the plugins that a chain can contain."""

import inspect
from typing import Any

from flask import Response
from flask.views import MethodView
from marshmallow import Schema, fields, validate

from admin_app.auth.access import Access, requires
from admin_app.context import services
from admin_app.http.errors import not_found
from admin_app.http.openapi import Blueprint
from admin_app.http.paging import PageQuery, invalid_cursor, page_response
from admin_app.http.responses import response
from shared.documents import examples
from shared.documents.fields import Page
from shared.model.config import Stage
from shared.pipeline.plugin import Plugin
from shared.plugin_tools.json_schema import json_schema

blueprint = Blueprint("plugins", __name__, "Plugins for chains, and their settings.")


PARTS = ("headers", "body")
EVENTS, WHOLE, ANY = "events", "whole", "any"


class PluginExample(Schema):
    """An entry for a chain, with settings that show what the plugin does."""

    name = fields.String(required=True)
    settings = fields.Dict(required=True)


class PluginOutput(Schema):
    """A plugin and the schema of its settings.

    The members of the schema have a `title`. `format` (duration, size, regex, cidr, header, method, uri) and
    `unit` say how a value is written.
    """

    name = fields.String(required=True)
    summary = fields.String(required=True)
    description = fields.String(required=True, metadata={"description": "Begins with the summary."})
    stages = fields.List(fields.Enum(Stage, by_value=True), required=True)
    default_stage = fields.Enum(Stage, by_value=True, required=True)
    default_on_error = fields.String(required=True)
    on_error_choices = fields.List(fields.String(), required=True)
    default_timeout = fields.Float(required=True, metadata={"description": "Seconds."})
    reads = fields.List(
        fields.String(validate=validate.OneOf(PARTS)),
        required=True,
        metadata={"description": "The parts of a message that it may read. Settings may narrow it."},
    )
    changes = fields.List(
        fields.String(validate=validate.OneOf([*PARTS, "status"])),
        required=True,
        metadata={"description": "The parts of a message that it changes. Settings may add `body`."},
    )
    streams = fields.String(
        required=True,
        validate=validate.OneOf([EVENTS, WHOLE, ANY]),
        metadata={
            "description": "events: it judges a streamed response event by event. whole: it needs the whole "
            "response, so its rule must buffer streams. any: it does not use bodies of responses."
        },
    )
    merges_entries = fields.Boolean(
        required=True,
        metadata={"description": "All its entries in a chain are one step, in the place of the first."},
    )
    example = fields.Nested(
        PluginExample, required=True, metadata={"description": "An entry for a chain that can be saved."}
    )
    secret_settings = fields.List(
        fields.String(), required=True, metadata={"description": "Stored encrypted and never shown."}
    )
    settings_schema = fields.Dict(required=True, metadata={"description": "JSON Schema of the settings."})


class PluginList(Page):
    """One page of plugins, by name."""

    plugins = fields.List(fields.Nested(PluginOutput), required=True)


@blueprint.route("/plugins")
class Plugins(MethodView):
    @requires(Access.READ)
    @blueprint.operation("listPlugins")
    @blueprint.reads(PageQuery, location="query")
    @blueprint.responses(200, PluginList, example=examples.page("plugins", examples.PLUGIN))
    def get(self, query: dict[str, Any]) -> Response:
        """List the plugins, by name"""
        catalogue = services().catalogue
        cursor = query["cursor"]
        if cursor is not None and cursor not in catalogue:
            raise invalid_cursor()
        names = [name for name in sorted(catalogue) if cursor is None or name > cursor]
        page = names[: query["limit"]]
        documents = [_document(catalogue[name]) for name in page]
        after = page[-1] if len(page) < len(names) else None
        return page_response("plugins", documents, after)


@blueprint.route("/plugins/<name>")
class OnePlugin(MethodView):
    @requires(Access.READ)
    @blueprint.operation("getPlugin")
    @blueprint.responses(200, PluginOutput, example=examples.PLUGIN)
    def get(self, name: str) -> Response:
        """Read a plugin and the schema of its settings"""
        kind = services().catalogue.get(name)
        if kind is None:
            raise not_found("plugin")
        return response(_document(kind))


def _document(kind: type[Plugin]) -> dict[str, Any]:
    text = inspect.getdoc(kind) or ""
    document: dict[str, Any] = PluginOutput().dump(
        {
            "name": kind.name,
            "summary": text.partition("\n")[0],
            "description": text.partition("\n>>>")[0].rstrip(),
            "stages": kind.stages(),
            "default_stage": kind.default_stage,
            "default_on_error": kind.default_on_error,
            "on_error_choices": kind.on_error_choices,
            "default_timeout": kind.default_timeout,
            "reads": sorted(kind.reads),
            "changes": sorted(kind.changes),
            "streams": _streams(kind),
            "merges_entries": kind.merges_entries,
            "example": {"name": kind.name, "settings": kind.example or _required(kind)},
            "secret_settings": sorted(kind.secrets),
            "settings_schema": json_schema(kind.schema),
        }
    )
    return document


def _streams(kind: type[Plugin]) -> str:
    if Stage.PRE_RESPONSE not in kind.stages() or "body" not in kind.reads | kind.changes:
        return ANY
    return EVENTS if hasattr(kind, "pre_response_events") else WHOLE


def _required(kind: type[Plugin]) -> dict[str, Any]:
    """The settings that a plugin requires, as their own examples show them."""
    fields = {field.data_key or name: field for name, field in kind.schema().fields.items()}
    return {name: field.metadata.get("example") for name, field in fields.items() if field.required}
