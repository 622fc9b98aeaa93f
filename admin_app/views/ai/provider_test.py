"""…/providers/{id}/test: one call of a provider, to see that its address and its key are right."""

import json
from collections.abc import Mapping
from typing import Any, Final

from flask import Response
from flask.views import MethodView
from marshmallow import Schema, fields

from admin_app.auth.access import Access, requires
from admin_app.auth.outside_calls import outside_call
from admin_app.changes.owners import Owner
from admin_app.context import services
from admin_app.http.openapi import Blueprint
from admin_app.http.responses import response
from shared.core.errors import Invalid, OutsideError, Problem
from shared.core.fields import flag
from shared.documents.ai import examples
from shared.documents.ai.names import upstream_model
from shared.documents.fields import Input, nullable
from shared.model.providers import Provider, ProviderKey
from shared.providers.calls import (
    ANTHROPIC_MESSAGES,
    OPENAI_CHAT,
    OPENAI_COMPLETIONS,
    OPENAI_EMBEDDINGS,
    OPENAI_RESPONSES,
    PATHS,
)
from shared.routing.provider_calls import (
    Call,
    ProviderCalls,
    ProviderCompiler,
    call_provider,
    first_key,
    listed_models,
)

blueprint = Blueprint("provider tests", __name__, "Calls of providers, to see that they work.")

_HELLO: Final = [{"role": "user", "content": "Hi"}]
#: The message about a provider that cannot be called for free.
NO_LIST: Final = "This kind has no list of models. Set deep to true."
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
    status = fields.Integer(**nullable("null: there was no response."))
    milliseconds = fields.Integer(required=True)
    models = fields.Integer(**nullable("The models in the list; null without one."))
    error = fields.String(**nullable("The error, without secrets. null: none."))


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


def _test(owner: Owner, provider_id: str, sent: Mapping[str, Any]) -> Response:
    provider = owner.read().provider(provider_id)
    with outside_call(owner.name):
        return response(check_provider(provider, owner.name, **sent))


def check_provider(
    provider: Provider, owner: str, *, model: str | None = None, deep: bool = False
) -> dict[str, Any]:
    """The result of one call of a provider. Raises `Invalid`."""
    try:
        calls = ProviderCompiler(services().sealer, opened=services().opened)(provider, owner)
    except ValueError as error:
        return _failed(f"The provider cannot be used: {error}")
    key = first_key(calls, services().clock.now())
    if key is None and calls.known.endpoint.needs_key:
        return _failed("It has no enabled key whose secret can be read.")
    call = _deep(calls, provider, model) if deep else Call.of_list(calls)
    if call is None:
        return _failed(NO_LIST)
    return _result(calls, key, call)


def _deep(calls: ProviderCalls, provider: Provider, model: str | None) -> Call | None:
    endpoint = calls.known.endpoint
    api = next((name for name in _CALLS if name in endpoint.apis), None)
    named = model or next((one.id for one in provider.models), None)
    if named is None:
        raise Invalid([Problem("/model", "Name a model: the provider declares none.")])
    if api is None:
        return None
    path = endpoint.path(api, PATHS[api][0], named)
    return Call("POST", path, json.dumps({"model": named, **_CALLS[api]}).encode())


def _result(calls: ProviderCalls, key: ProviderKey | None, call: Call) -> dict[str, Any]:
    began = services().clock.monotonic()
    try:
        found = call_provider(services().fetch, calls, key, call)
    except OutsideError as error:
        return _failed(str(error), began)
    models = listed_models(found.document) if call.method == "GET" else None
    return {
        "ok": found.trouble is None,
        "status": found.status,
        "milliseconds": _since(began),
        "models": None if models is None else len(models),
        "error": found.trouble,
    }


def _failed(error: str, began: float | None = None) -> dict[str, Any]:
    taken = 0 if began is None else _since(began)
    return {"ok": False, "status": None, "milliseconds": taken, "models": None, "error": error}


def _since(began: float) -> int:
    return round((services().clock.monotonic() - began) * 1000)
