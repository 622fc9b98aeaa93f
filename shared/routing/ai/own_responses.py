"""Responses of the gateway itself on a rule for AI: models, estimates, usage, and that no target is left."""

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson

from shared.core.errors import Rejection, make_rejection
from shared.model.config import ApiKey
from shared.model.messages import Headers, Request, Response
from shared.providers.calls import ANTHROPIC_MESSAGES
from shared.providers.model_list import anthropic_list, anthropic_model, openai_list, openai_model
from shared.routing.ai_exchange import AiExchange
from shared.upstreams.attempt import Ended
from shared.usage.estimate import estimate_request

_JSON: Final = ("Content-Type", "application/json")
_ESTIMATED: Final = ("X-Gateway-Estimated", "1")


def models_of(exchange: AiExchange, key: ApiKey | None, request: Request) -> Response | Rejection:
    """The response to a request for the list of models, or for one of them."""
    if request.method not in ("GET", "HEAD"):
        return make_rejection("method_not_allowed", "The list of models allows only GET.", {"Allow": "GET"})
    resolver = exchange.route.resolver
    names = resolver.allowed_names(key)
    is_anthropic, name = "anthropic-version" in request.headers, exchange.call.id
    if name is not None:
        if name not in names:
            return resolver.not_found(name, key)
        return _respond(anthropic_model(name) if is_anthropic else openai_model(name, resolver.kind_of(name)))
    if not is_anthropic:
        return _respond(openai_list({name: resolver.kind_of(name) for name in names}))
    try:
        return _respond(anthropic_list(names, dict(parse_qsl(request.query))))
    except ValueError as error:
        return make_rejection("bad_request", str(error))


def estimated_tokens(document: Any) -> Response:
    """The tokens of a message, where no target counts them."""
    tokens = estimate_request(document, api=ANTHROPIC_MESSAGES)
    return Response(200, Headers([_JSON, _ESTIMATED]), orjson.dumps({"input_tokens": tokens}))


def usage_of(key: ApiKey | None, request: Request) -> Response | Rejection:
    """The response to a request for the usage of its key, without the numbers."""
    if request.method not in ("GET", "HEAD"):
        return make_rejection("method_not_allowed", "The usage of a key allows only GET.", {"Allow": "GET"})
    if key is None:
        return make_rejection("missing_api_key", "This is the usage of an API key. Send a key.")
    return _respond({"object": "usage", "key": key.id})


def _respond(document: object) -> Response:
    return Response(200, Headers([_JSON]), orjson.dumps(document))


def unfit(model: str, lacks: Sequence[str]) -> Rejection:
    """The error when no target can serve a request, whenever it is called; `lacks` says why."""
    reasons = "; another target ".join(dict.fromkeys(lacks))
    return make_rejection(
        "unsupported_by_model",
        f"The model {model} {reasons}. Choose a model that can serve this request.",
    )


def ended(ended: Ended, model: str) -> Rejection:
    """The error when no target can be called."""
    code = ended.code or "no_upstream"
    wait = ended.retry_after
    headers = {} if wait is None else {"Retry-After": str(wait)}
    if code == "rate_limit_exceeded":
        message = f"All keys of the provider of {model} are limited by it. Retry in {wait} s."
        return make_rejection(code, message, headers)
    if code == "no_provider_key":
        return make_rejection(code, f"No key for the provider of {model} can be used now.", headers)
    return make_rejection(code, f"No target of the model {model} can be called now. Retry later.", headers)
