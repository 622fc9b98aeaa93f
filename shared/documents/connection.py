"""How clients call the rules of a tenant, as JSON: addresses, APIs and models."""

from collections.abc import Sequence
from typing import Any, Final

from marshmallow import Schema, fields, validate

from shared.documents.fields import nullable

#: The most models of a rule that are shown.
MAX_MODELS: Final = 200
AI, PLAIN = "ai", "plain"


class OfferedModel(Schema):
    """A model that a rule offers."""

    name = fields.String(required=True)
    apis = fields.List(
        fields.String(), required=True, metadata={"description": "The APIs by which it can be called."}
    )


class ConnectedRule(Schema):
    """A rule that clients can call. Rules that are not active, or take no POST, are left out."""

    id = fields.String(required=True)
    path = fields.String(required=True)
    kind = fields.String(
        required=True,
        validate=validate.OneOf([AI, PLAIN]),
        metadata={"description": "ai: it serves models of providers. plain: it forwards to its target."},
    )
    base_path = fields.String(
        required=True,
        metadata={
            "description": "The path between the address and `/v1/chat/completions` or `/v1/messages`."
        },
    )
    apis = fields.List(fields.String(), **nullable("The APIs that it serves. null: those of its target."))
    models = fields.List(
        fields.Nested(OfferedModel),
        required=True,
        metadata={"description": f"At most {MAX_MODELS}, by name; the default model first. [] if not known."},
    )
    public = fields.Boolean(required=True, metadata={"description": "true: calls need no API key."})
    credential = fields.String(
        required=True,
        metadata={"description": "client: the API key goes into X-Gateway-Key, beside the client's own."},
    )


class ConnectionOutput(Schema):
    """How clients call the rules of a tenant."""

    address = fields.String(
        required=True, metadata={"description": "The beginning of all addresses, with the tenant's host."}
    )
    sdk_address = fields.String(
        required=True,
        metadata={
            "description": "The same for SDKs. Of a proxy that only this machine can reach, it is localhost, "
            "where the API key selects the tenant."
        },
    )
    resolve = fields.String(
        **nullable("The value of curl's --resolve, in place of DNS. null: DNS knows the host.")
    )
    rules = fields.List(fields.Nested(ConnectedRule), required=True)


def connection_document(
    address: str, sdk_address: str, resolve: str | None, rules: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """The JSON of how clients call the rules of a tenant."""
    members = {"address": address, "sdk_address": sdk_address, "resolve": resolve, "rules": rules}
    document: dict[str, Any] = ConnectionOutput().dump(members)
    return document


#: An example of a response.
CONNECTION: Final[dict[str, Any]] = {
    "address": "http://acme.example.com:8081",
    "sdk_address": "http://localhost:8081",
    "resolve": "acme.example.com:8081:127.0.0.1",
    "rules": [
        {
            "id": "rule_1f2e3d4c5b6a798897a6b5c4",
            "path": "/ai",
            "kind": AI,
            "base_path": "/ai",
            "apis": ["openai.chat"],
            "models": [{"name": "best", "apis": ["openai.chat"]}],
            "public": False,
            "credential": "provider",
        }
    ],
}
