"""…/providers/{id}/test: one call of a provider, to see that its address and its key are right."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from flask import Response
from flask.views import MethodView
from marshmallow import Schema, fields

from admin_app.auth.access import Access, requires
from admin_app.changes.owners import Owner
from admin_app.context import services
from admin_app.http.openapi import Blueprint
from admin_app.http.responses import response
from shared.bodies.json.parse import parse_json
from shared.core.errors import Invalid, OutsideError, Problem
from shared.core.fields import flag
from shared.core.http_tokens import MASK
from shared.documents.ai import examples
from shared.documents.ai.names import upstream_model
from shared.documents.fields import Input
from shared.model.providers import Provider, ProviderKey
from shared.net.port import FetchRequest
from shared.providers.calls import (
    ANTHROPIC_MESSAGES,
    OPENAI_CHAT,
    OPENAI_COMPLETIONS,
    OPENAI_EMBEDDINGS,
    OPENAI_RESPONSES,
    PATHS,
)
from shared.routing.provider_calls import ProviderCalls, ProviderCompiler
from shared.secrets.redaction import redact

blueprint = Blueprint("provider tests", __name__, "Calls of providers, to see that they work.")

_TIMEOUT_SECONDS: Final = 15.0
_MAX_BYTES: Final = 4 * 1024 * 1024  # a list of thousands of models
_SHOWN: Final = 300  # characters of an error
_HELLO: Final = [{"role": "user", "content": "Hi"}]
#: The smallest call of each API, the cheapest first.
_CALLS: Final[Mapping[str, Mapping[str, Any]]] = {
    OPENAI_CHAT: {"max_tokens": 1, "messages": _HELLO},
    ANTHROPIC_MESSAGES: {"max_tokens": 1, "messages": _HELLO},
    OPENAI_COMPLETIONS: {"max_tokens": 1, "prompt": "Hi"},
    OPENAI_RESPONSES: {"max_output_tokens": 16, "input": "Hi"},  # the least that the API accepts
    OPENAI_EMBEDDINGS: {"input": "Hi"},
}


class ProviderTestInput(Input):
    """A test of a provider."""

    model = upstream_model(
        "The model to call. null: the first that is declared.", load_default=None, allow_none=True
    )
    deep = flag(False, "false: get the list of models, which is free. true: generate one token.")


class ProviderTestOutput(Schema):
    """The result of a test."""

    ok = fields.Boolean(required=True)
    status = fields.Integer(
        required=True, allow_none=True, metadata={"description": "null: there was no response."}
    )
    milliseconds = fields.Integer(required=True)
    models = fields.Integer(
        required=True, allow_none=True, metadata={"description": "The models in the list; null without one."}
    )
    error = fields.String(
        required=True, allow_none=True, metadata={"description": "What went wrong, without secrets."}
    )


@blueprint.route("/providers/<provider_id>/test")
class PlatformProviderTest(MethodView):
    @requires(Access.PLATFORM)
    @blueprint.operation("testPlatformProvider")
    @blueprint.reads(ProviderTestInput, example=examples.PROVIDER_TEST)
    @blueprint.responses(200, ProviderTestOutput, example=examples.PROVIDER_TESTED)
    def post(self, sent: dict[str, Any], provider_id: str) -> Response:
        """Test a provider of the platform

        The first enabled key is used. The status is 200 also if the test fails; see `ok`.
        """
        return _test(Owner(), provider_id, sent)


@blueprint.route("/tenants/<tenant_id>/providers/<provider_id>/test")
class ProviderTest(MethodView):
    @requires(Access.ADMIN)
    @blueprint.operation("testProvider")
    @blueprint.reads(ProviderTestInput, example=examples.PROVIDER_TEST)
    @blueprint.responses(200, ProviderTestOutput, example=examples.PROVIDER_TESTED)
    def post(self, sent: dict[str, Any], tenant_id: str, provider_id: str) -> Response:
        """Test a provider of a tenant

        The first enabled key is used. The status is 200 also if the test fails; see `ok`.
        """
        return _test(Owner(tenant_id), provider_id, sent)


@dataclass(frozen=True, slots=True)
class _Call:
    """A call of a provider: its method, its path and its body."""

    method: str
    path: str
    body: bytes = b""


def _test(owner: Owner, provider_id: str, sent: Mapping[str, Any]) -> Response:
    provider = owner.read().provider(provider_id)
    try:
        calls = ProviderCompiler(services().sealer, opened=services().opened)(provider, owner.name)
    except ValueError as error:
        return response(_failed(f"The provider cannot be used: {error}"))
    key = _key(calls)
    if key is None and calls.known.endpoint.needs_key:
        return response(_failed("It has no enabled key whose secret can be read."))
    call = _deep(calls, provider, sent["model"]) if sent["deep"] else _list_of_models(calls)
    if call is None:
        return response(_failed("This kind has no list of models. Set deep to true."))
    return response(_result(calls, key, call, is_list=not sent["deep"]))


def _key(calls: ProviderCalls) -> ProviderKey | None:
    now = services().clock.now()
    usable = (one for one in calls.keys if one.enabled and (one.expires_at is None or one.expires_at > now))
    return next(usable, None)


def _list_of_models(calls: ProviderCalls) -> _Call | None:
    endpoint = calls.known.endpoint
    return (endpoint.models and _Call("GET", endpoint.base.path.rstrip("/") + endpoint.models)) or None


def _deep(calls: ProviderCalls, provider: Provider, model: str | None) -> _Call | None:
    endpoint = calls.known.endpoint
    api = next((name for name in _CALLS if name in endpoint.apis), None)
    named = model or next((one.id for one in provider.models), None)
    if named is None:
        raise Invalid([Problem("/model", "Name a model: the provider declares none.")])
    if api is None:
        return None
    path = endpoint.path(api, PATHS[api][0], named)
    return _Call("POST", path, json.dumps({"model": named, **_CALLS[api]}).encode())


def _result(calls: ProviderCalls, key: ProviderKey | None, call: _Call, *, is_list: bool) -> dict[str, Any]:
    endpoint = calls.known.endpoint
    own, query = calls.own_parts(key)
    headers = {**endpoint.headers, **own}
    if call.body:
        headers["Content-Type"] = "application/json"
    url = f"{endpoint.base.scheme}://{endpoint.base.authority}{call.path}"
    began = services().clock.monotonic()
    request = FetchRequest(
        method=call.method,
        url=f"{url}?{urlencode(query)}" if query else url,
        headers=headers,
        body=call.body,
        timeout=_TIMEOUT_SECONDS,
        max_bytes=_MAX_BYTES,
    )
    try:
        found = services().fetch(request, ca=calls.known.provider.ca)
    except OutsideError as error:
        return _failed(str(error), began)
    document = _parsed(found.body)
    models = _models(document) if is_list else None
    trouble = None
    if not 200 <= found.status < 300:
        secrets = [*calls.credentials.values(), *calls.headers.values(), *calls.query.values()]
        trouble = _shown(_error_of(document), secrets) or f"The provider responded with {found.status}."
    elif document is None or (is_list and models is None):
        trouble = "The response is not that of this API. Check base_url."
    return {
        "ok": trouble is None,
        "status": found.status,
        "milliseconds": _since(began),
        "models": models,
        "error": trouble,
    }


def _failed(error: str, began: float | None = None) -> dict[str, Any]:
    taken = 0 if began is None else _since(began)
    return {"ok": False, "status": None, "milliseconds": taken, "models": None, "error": error}


def _since(began: float) -> int:
    return round((services().clock.monotonic() - began) * 1000)


def _parsed(body: bytes) -> Any:
    """The JSON of a response; None when it is none."""
    try:
        return parse_json(body)
    except ValueError:
        return None


def _models(document: Any) -> int | None:
    """The number of models in a list of OpenAI's or Anthropic's shape; a bare list is Together's."""
    items = document.get("data") if isinstance(document, Mapping) else document
    return len(items) if isinstance(items, list) else None


def _error_of(document: Any) -> str:
    error = document.get("error") if isinstance(document, Mapping) else None
    message = error.get("message") if isinstance(error, Mapping) else error
    return message if isinstance(message, str) else ""


def _shown(text: str, secrets: Iterable[str]) -> str:
    """The text of a provider without what it repeats of the secrets."""
    for secret in secrets:
        text = text.replace(secret, MASK)
    return redact(text)[:_SHOWN]
