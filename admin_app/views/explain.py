"""/tenants/{id}/explain: dry runs of requests."""

import base64
import binascii
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import Any

from flask import Response
from flask.views import MethodView
from marshmallow import ValidationError, fields, validate, validates_schema

from admin_app.auth.access import Access, caller, requires
from admin_app.auth.outside_calls import outside_call
from admin_app.changes.drafts import Draft, with_draft
from admin_app.changes.snapshot import find_key, find_tenant
from admin_app.context import services
from admin_app.http.errors import ApiError
from admin_app.http.openapi import Blueprint
from admin_app.http.responses import response
from admin_app.views.explanation import explanation
from shared.core.fields import HEADER_VALUE, Pattern, flag, ip_address, token
from shared.documents import examples
from shared.documents.explanation import Explanation
from shared.documents.fields import Input
from shared.documents.rule import RuleReplacement
from shared.explain import ExplainRequest
from shared.model.config import Snapshot
from shared.model.messages import Headers
from shared.model.messages import Response as ExplainedResponse

blueprint = Blueprint("explain", __name__, "Dry runs of requests.")

_TARGET = Pattern(r"/[\x21-\x7e]*", "Must begin with a slash and contain printable ASCII without spaces.")
_MOST_HEADERS = 100


class _Body(fields.Field[bytes]):
    """Bytes, in base64."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> bytes:
        try:
            return base64.b64decode(value, validate=True)
        except (TypeError, ValueError, binascii.Error):
            raise ValidationError("Must be base64.") from None


class _Values(fields.Field[tuple[str, ...]]):
    """The value of a header, or all of its values."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> tuple[str, ...]:
        values = value if isinstance(value, list) else [value]
        if not all(isinstance(one, str) for one in values):
            raise ValidationError("Must be a text, or a list of texts.")
        for one in values:
            HEADER_VALUE(one)
        return tuple(values)


def _headers(text: str) -> Any:
    return fields.Dict(
        keys=fields.String(validate=[validate.Length(max=256), token("a header name")]),
        values=_Values(
            metadata={"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
        ),
        load_default=dict,
        validate=validate.Length(max=_MOST_HEADERS),
        metadata={"description": text},
    )


class ResponseInput(Input):
    """The response that the upstream would send."""

    status = fields.Integer(load_default=200, strict=True, validate=validate.Range(200, 599))
    headers = _headers("Its headers.")
    body = fields.String(load_default="", metadata={"description": "Its body, as text."})


class _Rule(fields.Nested):
    """A rule, which is checked when its tenant and the saved rule are known."""

    def _deserialize(
        self, value: Any, attr: str | None, data: Any, partial: Any = None, **kwargs: Any
    ) -> Any:
        if not isinstance(value, Mapping):
            raise ValidationError("Must be an object.")
        return value


class ExplainInput(Input):
    """A request to explain."""

    method = fields.String(
        load_default="GET",
        validate=[validate.Length(max=32), token("an HTTP method")],
        metadata={"description": "Its method."},
    )
    path = fields.String(
        required=True,
        validate=[validate.Length(max=8192), _TARGET],
        metadata={"description": "Its path, with the query."},
    )
    headers = _headers("Its headers. Without Host: the tenant's own.")
    body = fields.String(load_default=None, metadata={"description": "Its body, as text."})
    body_base64 = _Body(
        load_default=None,
        metadata={"type": "string", "description": "Its body in base64, if not text."},
    )
    client = fields.String(
        load_default="127.0.0.1", validate=ip_address, metadata={"description": "The address of the caller."}
    )
    key_id = fields.String(
        load_default=None,
        validate=validate.Length(max=100),
        metadata={
            "description": "The id of an API key to explain the request with. Its secret is not needed."
        },
    )
    response = fields.Nested(
        ResponseInput,
        load_default=None,
        metadata={
            "description": "Response of the upstream. With it, the response stages are explained, too."
        },
    )
    rule = _Rule(
        RuleReplacement,
        load_default=None,
        metadata={
            "description": "A rule that is not saved. With an `id` it stands in for that rule, else it is "
            "added. It is checked as a PUT would; nothing is stored. Requires the scope admin."
        },
    )
    call_outside = flag(False, "true also calls external validators. Requires the scope admin.")

    @validates_schema
    def _one_body(self, data: Mapping[str, Any], **kwargs: Any) -> None:
        if data["body"] is not None and data["body_base64"] is not None:
            raise ValidationError("Must not be sent together with body.", "body_base64")


@blueprint.route("/tenants/<tenant_id>/explain")
class Explain(MethodView):
    @requires(Access.READ)
    @blueprint.operation("explainRequest")
    @blueprint.reads(ExplainInput, example=examples.EXPLAIN)
    @blueprint.responses(200, Explanation, example=examples.EXPLANATION)
    def post(self, sent: dict[str, Any], tenant_id: str) -> Response:
        """Explain what would happen to a request

        The request takes the same steps as in the proxy, up to the upstream; with `response` also the steps
        of the response. Nothing is forwarded, and no limit is charged. External validators are called only
        with `call_outside`. The tier's `concurrent` limit is not checked. An event-stream response is
        explained as a whole body; the proxy checks it event by event, unless the rule buffers streams.
        `rule` tries a rule before it is saved: its errors are those of a PUT, with pointers below `/rule`.
        """
        snapshot = find_tenant(tenant_id)
        for name in ("call_outside", "rule"):
            if sent[name] not in (None, False) and not caller().may(Access.ADMIN):
                raise ApiError("forbidden", f"{name} requires {Access.ADMIN}.")
        draft = Draft(snapshot, []) if sent["rule"] is None else with_draft(snapshot, sent["rule"])
        request = _request(sent, snapshot)
        calls_outside = sent["call_outside"]
        with outside_call(tenant_id) if calls_outside else nullcontext():
            result = services().explain(request, draft.snapshot, calls_outside=calls_outside)
        document = explanation(result, request.method)
        return response(Explanation().dump({**document, "warnings": draft.warnings}))


def _request(sent: Mapping[str, Any], snapshot: Snapshot) -> ExplainRequest:
    body = (sent["body"] or "").encode() if sent["body_base64"] is None else sent["body_base64"]
    given = _given(sent["headers"])
    key = find_key(snapshot, sent["key_id"]) if sent["key_id"] is not None else None
    host = f"{snapshot.tenant.subdomain}.{services().settings.server.base_domain}"
    own = [
        (name, value)
        for name, value, is_needed in (
            ("Host", host, True),
            ("Content-Length", str(len(body)), bool(body)),
            # Plugins see it masked.
            ("Authorization", f"Bearer {key.prefix}" if key else "", key is not None),
        )
        if is_needed and name not in given
    ]
    return ExplainRequest(
        method=sent["method"],
        target=sent["path"],
        headers=Headers([*own, *given]),
        body=body,
        peer=sent["client"],
        key_hash=key.hash if key else None,
        response=_response(sent["response"]),
    )


def _given(headers: Mapping[str, Sequence[str]]) -> Headers:
    return Headers((name, value) for name, values in headers.items() for value in values)


def _response(sent: Mapping[str, Any] | None) -> ExplainedResponse | None:
    if sent is None:
        return None
    return ExplainedResponse(sent["status"], _given(sent["headers"]), sent["body"].encode())
