"""/document: what is stored, as a file. /schemas: the JSON Schemas of files, for editors."""

from collections.abc import Sequence
from typing import Any

import flask
from flask import Response, jsonify
from flask.views import MethodView

from admin_app.auth.access import Access, caller, requires
from admin_app.changes.snapshot import find_tenant
from admin_app.context import services
from admin_app.http.errors import not_found
from admin_app.http.openapi import Blueprint
from admin_app.http.responses import response
from shared.documents.file.json_schema import file_schema
from shared.documents.file.normal import NormalForm
from shared.documents.file.plan import DOCUMENT, DocumentQuery, FileOutput
from shared.model.config import Snapshot
from shared.settings.declare import json_schema
from shared.settings.sections import Settings

blueprint = Blueprint("document", __name__, "The configuration as one document, as a file has it.")
#: They are open to all: an editor sends no key.
schemas = flask.Blueprint("schemas", __name__)

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


@blueprint.route("/document")
class Document(MethodView):
    @requires(Access.READ)
    @blueprint.operation("getDocument")
    @blueprint.reads(DocumentQuery, location="query")
    @blueprint.responses(200, FileOutput, example=DOCUMENT)
    def get(self, query: dict[str, Any]) -> Response:
        """Read the configuration as a file

        Things are by their names, without ids and times. Members that have their defaults are left out, and
        secrets are `{"set": true}`. An API key reads its own tenant.
        """
        now = services().clock.now()
        if caller().tenant_id is not None:
            form = NormalForm(services().catalogue)
            return response(form.dump(None, [find_tenant(caller().tenant_id or "")], now))
        platform = services().store.read_platform() if query["platform"] else None
        found = _tenants(query["tenants"])
        subdomains = {one.tenant.id: one.tenant.subdomain for one in found}
        return response(NormalForm(services().catalogue, subdomains).dump(platform, found, now))


def _tenants(names: Sequence[str] | None) -> Sequence[Snapshot]:
    """The tenants with these subdomains; None: all. Raises 404."""
    found = services().store.read_named(names)
    if names is not None and set(names) - found.keys():
        raise not_found("tenant")
    return list(found.values())


@schemas.get("/schemas/gateway-1.json")
@requires(Access.PUBLIC)
def gateway() -> Response:
    """The schema of a file with the configuration."""
    return jsonify(file_schema(services().catalogue))


@schemas.get("/schemas/config-1.json")
@requires(Access.PUBLIC)
def config() -> Response:
    """The schema of config.yaml."""
    return jsonify({"$schema": _DIALECT, "title": "The settings of AI Gateway", **json_schema(Settings)})
