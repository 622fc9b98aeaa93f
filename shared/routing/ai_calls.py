"""What the stages need for a rule for AI: the model of a request, its target, and the gateway's own lists."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from urllib.parse import parse_qsl

import orjson

from shared.bodies.body import DecodedBody, document_with_model
from shared.bodies.json.lenient import json_or_none
from shared.bodies.json.members import Span
from shared.bodies.multipart import FormPart, form_field
from shared.bodies.text.whole_body import MAX_PARTS
from shared.core.clock import Clock
from shared.core.errors import Rejection, make_rejection
from shared.http.body_rejected import BodyRejected
from shared.http.media_type import MediaType
from shared.model.config import ApiKey
from shared.model.messages import Headers, Request, Response
from shared.providers.apis.text_fields import model_in
from shared.providers.calls import OWN, USAGE
from shared.providers.model_list import anthropic_list, anthropic_model, openai_list, openai_model
from shared.providers.retry_after import wait_of
from shared.providers.usage_fields import USAGE_FIELDS
from shared.routing.ai_exchange import AiExchange
from shared.routing.ai_route import AiRoute
from shared.routing.pool_exchange import Tell, tell_no_worker
from shared.routing.upstream import Upstream
from shared.upstreams.attempt import Ended
from shared.upstreams.attempts import Attempts
from shared.usage.meter import UsageMeter

_JSON = ("Content-Type", "application/json")
_MODEL_PART = b'\r\nContent-Disposition: form-data; name="model"\r\n\r\n'


@dataclass(frozen=True, slots=True)
class AiCalls:
    """Decides about requests to models.

    Attributes:
        clock: for the states of targets.
        random: numbers from 0 to 1, for draws among targets and keys.
        tell: tells other workers what the attempts of a request have shown.
    """

    clock: Clock
    random: Callable[[], float]
    tell: Tell = tell_no_worker

    def begin(self, path: str, ai: AiRoute) -> AiExchange | Rejection:
        """Find the API that a request calls, before its body has come."""
        call = ai.call(path)
        return call if isinstance(call, Rejection) else AiExchange(ai, call, tell=self.tell)

    def resolve(self, one: AiExchange, key: ApiKey | None, request: Request) -> Rejection | None:
        """Find the targets of the model that a request names, before plugins judge it."""
        if one.call.api in OWN:
            return None
        if one.call.id is None and request.method != "POST":
            return make_rejection("method_not_allowed", "This API allows only POST.", {"Allow": "POST"})
        try:
            request = _decoded(request)
            if field := _model_field(request):
                one.form_model = Span(field.start, field.start + len(field.content))
                name = field.content.decode()
            else:
                one.document = document_with_model(request)
                name = model_in(one.document)
        except BodyRejected as error:
            return make_rejection(error.code, str(error))
        except UnicodeDecodeError:
            return make_rejection("bad_request", "The field model of the form is not UTF-8.")
        found = one.route.resolver.resolve(name, one.call.api, key)
        if isinstance(found, Rejection):
            return found
        one.resolution = found
        return None

    def _models(self, one: AiExchange, key: ApiKey | None, request: Request) -> Response | Rejection:
        """The response to a request for the list of models, or for one of them."""
        if request.method not in ("GET", "HEAD"):
            return make_rejection(
                "method_not_allowed", "The list of models allows only GET.", {"Allow": "GET"}
            )
        resolver = one.route.resolver
        names = resolver.allowed_names(key)
        is_anthropic, name = "anthropic-version" in request.headers, one.call.id
        if name is not None:
            if name not in names:
                return resolver.not_found(name, key)
            return _respond(
                anthropic_model(name) if is_anthropic else openai_model(name, resolver.kind_of(name))
            )
        if not is_anthropic:
            return _respond(openai_list({name: resolver.kind_of(name) for name in names}))
        try:
            return _respond(anthropic_list(names, dict(parse_qsl(request.query))))
        except ValueError as error:
            return make_rejection("bad_request", str(error))

    def choose(
        self, one: AiExchange, key: ApiKey | None, request: Request, body: bytes
    ) -> tuple[Upstream, bytes] | Rejection | Response:
        """The upstream for a request that plugins have let through, and its body for that upstream.

        Or the response, where the gateway responds itself.
        """
        if one.call.api == USAGE:
            return _usage(key, request)
        if one.resolution is None:
            return self._models(one, key, request)
        try:
            _take_body(one, request, body)
        except BodyRejected as error:
            return make_rejection(error.code, str(error))
        one.pool = pool = one.route.pool(one.resolution)
        affinity = None
        if pool.affinity is not None:
            affinity = pool.affinity.key(request.headers, one.document, one.resolution.asked)
        fits = None if pool.fit is None else pool.fit.judge(one.call.api, one.document, len(one.body))
        one.attempts = Attempts(pool.pool, pool.budget, self.random, affinity=affinity, fits=fits)
        attempt = one.attempts.first(self.clock.monotonic())
        if isinstance(attempt, Ended):
            if fits is not None and all(lacks := [*map(fits, pool.pool.targets)]):
                return unfit(one.resolution.asked, lacks)
            return ended(attempt, one.resolution.asked)
        one.attempt = attempt
        upstream = one.route.upstream(pool, attempt, one.call)
        return upstream, one.body_for_target(self.clock.monotonic())

    def begin_response(self, one: AiExchange, status: int, headers: Headers) -> None:
        """Record the head of a target's response, and begin to read its usage."""
        if one.attempts is None:
            return
        now = self.clock.monotonic()
        one.receive(status, now, wait_of(headers, self.clock.now()))
        if status >= 400:
            return
        if one.target is not None and one.unasked == one.target.provider.provider.id:
            # It serves the same request unasked. A rejection alone could be the client's doing.
            one.route.states.unable.add(one.unasked, now)
        if one.call.api in USAGE_FIELDS and one.target is not None:
            one.meter = UsageMeter(one.call.api, one.target.provider.provider.kind)

    def end_response(self, one: AiExchange, body: bytes | None) -> bytes | None:
        """The response is complete. `body` is all of it if it was collected.

        Returns the body for the client; None if it was not collected.
        """
        if one.meter is not None and body is not None:
            one.meter.feed_whole(body)
        one.settle(self.clock.now(), is_complete=True)
        return body and one.renamed(body)

    def end(self, one: AiExchange) -> None:
        """The exchange is over, however it ended."""
        one.settle(self.clock.now(), is_complete=False)
        one.end()


def _decoded(request: Request) -> Request:
    """The request without the content coding of its body. Raises `BodyRejected`."""
    if not request.body or "content-encoding" not in request.headers:
        return request
    headers = Headers([one for one in request.headers if one[0].lower() != "content-encoding"])
    return replace(request, headers=headers, body=DecodedBody.of(request.headers, request.body).content)


def _take_body(one: AiExchange, request: Request, body: bytes) -> None:
    """Keep the body as plugins left it, decoded, with the place of the model in a form.

    Raises `BodyRejected` on a body in which the model cannot be replaced.
    """
    is_changed = body != request.body
    sent = _decoded(replace(request, body=body) if is_changed else request)
    one.body = sent.body or b""
    if MediaType.of(sent.headers).is_multipart:
        if is_changed or one.form_model is None:
            _find_model(one, sent)
        return
    one.form_model = None
    if is_changed:
        one.document = json_or_none(one.body)
    if one.body and not isinstance(one.document, dict):
        raise BodyRejected("invalid_json", "The body must be a JSON object, or a form with the field model.")


def _find_model(one: AiExchange, sent: Request) -> None:
    """Find the model in a form. One that has none gets an empty field at its beginning."""
    if field := _model_field(sent):
        one.form_model = Span(field.start, field.start + len(field.content))
    elif one.body:
        begin = one.body.partition(b"\r\n")[0] + _MODEL_PART
        one.body = begin + b"\r\n" + one.body
        one.form_model = Span(len(begin), len(begin))


def _usage(key: ApiKey | None, request: Request) -> Response | Rejection:
    """The response to a request for the usage of its key, without the numbers."""
    if request.method not in ("GET", "HEAD"):
        return make_rejection("method_not_allowed", "The usage of a key allows only GET.", {"Allow": "GET"})
    if key is None:
        return make_rejection("missing_api_key", "This is the usage of an API key. Send a key.")
    return _respond({"object": "usage", "key": key.id})


def _model_field(request: Request) -> FormPart | None:
    """The field ``model`` of a form, as for transcriptions. None for another body. Raises `BodyRejected`."""
    kind = MediaType.of(request.headers)
    if not kind.is_multipart or request.body is None:
        return None
    return form_field(kind, request.body, "model", most=MAX_PARTS)


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


def _respond(document: object) -> Response:
    return Response(200, Headers([_JSON]), orjson.dumps(document))
