"""/me: the caller."""

from flask import Response
from flask.views import MethodView
from marshmallow import Schema, fields, validate

from admin_app.auth.access import Access, caller, requires
from admin_app.changes.snapshot import find_tenant
from admin_app.http.openapi import Blueprint
from admin_app.http.responses import response
from shared.documents import examples
from shared.documents.fields import nullable
from shared.model.config import PlatformScope, Scope

blueprint = Blueprint("me", __name__, "The caller.")


class OwnTenant(Schema):
    """The tenant whose key the caller has."""

    id = fields.String(required=True)
    subdomain = fields.String(required=True)
    name = fields.String(required=True)


class Me(Schema):
    """The caller: the platform, or a tenant."""

    is_platform = fields.Boolean(
        required=True,
        metadata={"description": "Also without a key on this machine."},
    )
    actor = fields.String(
        required=True, metadata={"description": "The name of the caller in records of changes."}
    )
    scopes = fields.List(
        fields.String(validate=validate.OneOf(sorted({*Scope, *PlatformScope}))),
        required=True,
        metadata={
            "description": "Of its key or platform token. The platform key has none, and may do everything."
        },
    )
    tenant = fields.Nested(OwnTenant, **nullable())
    session = fields.Boolean(
        required=True, metadata={"description": "Whether this is a browser that has logged in."}
    )


@blueprint.route("/me")
class ShowMe(MethodView):
    @requires(Access.READ)
    @blueprint.operation("getMe")
    @blueprint.responses(200, Me, example=examples.ME)
    def get(self) -> Response:
        """Read who the caller is"""
        own = caller()
        tenant = None if own.tenant_id is None else find_tenant(own.tenant_id).tenant
        return response(
            Me().dump(
                {
                    "is_platform": own.is_platform,
                    "actor": own.actor,
                    "scopes": own.scopes,
                    "tenant": tenant,
                    "session": own.is_session,
                }
            )
        )
