"""What the stages need for a rule for AI: the model of a request, its target, and the gateway's own lists."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

import orjson

from shared.bodies.body import DecodedBody, document_with_model, has_plain_json, plain_document_with_model
from shared.bodies.json.lenient import json_or_none
from shared.bodies.json.members import Span
from shared.bodies.multipart import FormPart, form_field
from shared.bodies.text.whole_body import MAX_PARTS
from shared.budgets.demand import MAX_LEARNED, LearnedDemand
from shared.core.clock import Clock
from shared.core.errors import Rejection, StoreDown, make_rejection
from shared.http.body_rejected import BodyRejected
from shared.http.media_type import MediaType
from shared.model.config import ApiKey
from shared.model.messages import Headers, Request, Response
from shared.providers.apis.text_fields import model_in
from shared.providers.calls import OPENAI_RESPONSES, OWN, USAGE
from shared.providers.headers import SHOULD_RETRY
from shared.providers.model_list import anthropic_list, anthropic_model, openai_list, openai_model
from shared.providers.retry_after import wait_of
from shared.providers.usage_fields import USAGE_FIELDS
from shared.routing.ai_exchange import AiExchange
from shared.routing.ai_route import AiRoute, ModelPool
from shared.routing.pool_exchange import ChosenUpstream, Tell, tell_no_worker
from shared.stored.binding import Binding, Pin, shown_id
from shared.stored.references import account_member, conversation_ids, stored_ids
from shared.stored.response_ids import ResponseIds
from shared.stored.store import Bindings
from shared.upstreams.attempt import Ended
from shared.upstreams.attempts import Attempts
from shared.usage.meter import UsageMeter

_JSON = ("Content-Type", "application/json")
# The methods of a stored response by the end of its path; else those of the response itself.
_STORED_METHODS = {"cancel": ("POST",), "input_items": ("GET",)}
_RESPONSE_METHODS = ("GET", "DELETE")
#: What becomes of a request that plugins have let through.
Chosen = ChosenUpstream | Rejection | Response

_MODEL_PART = b'\r\nContent-Disposition: form-data; name="model"\r\n\r\n'


@dataclass(frozen=True, slots=True)
class AiCalls:
    """Decides about requests to models.

    Attributes:
        clock: for the states of targets.
        random: numbers from 0 to 1, for draws among targets and keys.
        tell: tells other workers what the attempts of a request have shown.
        bindings: what providers have stored for tenants; None: nothing is known.
        learned: what requests used, for the estimates of the next ones.
    """

    clock: Clock
    random: Callable[[], float]
    tell: Tell = tell_no_worker
    bindings: Bindings | None = None
    learned: LearnedDemand = field(default_factory=lambda: LearnedDemand.of(MAX_LEARNED))

    def begin(self, path: str, ai: AiRoute) -> AiExchange | Rejection:
        """Find the API that a request calls, before its body has come."""
        call = ai.call(path)
        if isinstance(call, Rejection):
            return call
        return AiExchange(ai, call, self.tell, learned=self.learned, now=self.clock.now)

    def resolve(
        self, exchange: AiExchange, key: ApiKey | None, request: Request
    ) -> Rejection | Awaitable[Rejection | None] | None:
        """Find the targets of the model that a request names, before plugins judge it.

        Those of a stored response have to be awaited.
        """
        if exchange.call.api in OWN:
            return None
        if exchange.call.id is not None:
            return self._resolve_stored(exchange, exchange.call.id, key, request.method)
        if request.method != "POST":
            return make_rejection("method_not_allowed", "This API allows only POST.", {"Allow": "POST"})
        exchange.request, exchange.key_id = request, key.id if key else ""
        try:
            name = _read_model(exchange, request)
        except BodyRejected as error:
            return make_rejection(error.code, str(error))
        except UnicodeDecodeError:
            return make_rejection("bad_request", "The field model of the form is not UTF-8.")
        found = exchange.route.resolve(name, exchange.call.api, key)
        if isinstance(found, Rejection):
            return found
        exchange.resolution, exchange.pool = found
        return None

    async def _resolve_stored(
        self, exchange: AiExchange, id: str, key: ApiKey | None, method: str
    ) -> Rejection | None:
        """Find the target of a stored response, which the path of the request names."""
        allowed = _STORED_METHODS.get(exchange.call.path.rpartition("/")[2], _RESPONSE_METHODS)
        if method not in allowed:
            named = ", ".join(allowed)
            return make_rejection("method_not_allowed", f"This path allows only {named}.", {"Allow": named})
        try:
            found = await self._find(exchange, [id])
        except StoreDown:
            return _not_read()
        stored = exchange.route.stored(found[id], key) if id in found else None
        if stored is None:
            return _no_response(id)
        exchange.pool = exchange.route.pool(stored)
        pin = exchange.route.pin(exchange.pool, key, found, ())
        if isinstance(pin, Rejection):
            return _no_response(id)
        exchange.resolution, exchange.pin, exchange.deletes = stored, pin, method == "DELETE"
        return None

    async def _find(self, exchange: AiExchange, ids: Sequence[str]) -> Mapping[str, Binding]:
        """What the ids of the tenant are bound to. Raises `StoreDown`."""
        return {} if self.bindings is None else await self.bindings.find(exchange.tenant_id, ids)

    def _models(self, exchange: AiExchange, key: ApiKey | None, request: Request) -> Response | Rejection:
        """The response to a request for the list of models, or for one of them."""
        if request.method not in ("GET", "HEAD"):
            return make_rejection(
                "method_not_allowed", "The list of models allows only GET.", {"Allow": "GET"}
            )
        resolver = exchange.route.resolver
        names = resolver.allowed_names(key)
        is_anthropic, name = "anthropic-version" in request.headers, exchange.call.id
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
        self, exchange: AiExchange, key: ApiKey | None, request: Request
    ) -> Chosen | Awaitable[Chosen]:
        """The upstream for a request that plugins have let through, and its body for that upstream.

        Or the response, where the gateway responds itself. The upstream of a request that names stored things
        has to be awaited.
        """
        if exchange.call.api == USAGE:
            return _usage(key, request)
        pool = exchange.pool
        if pool is None:
            return self._models(exchange, key, request)
        # What no plugin has seen was read by `resolve`.
        if request is not exchange.request or not isinstance(exchange.document, dict):
            try:
                _take_body(exchange, request)
            except BodyRejected as error:
                return make_rejection(error.code, str(error))
        if exchange.call.api == OPENAI_RESPONSES and exchange.call.id is None:
            ids = stored_ids(exchange.document)
            if ids:
                return self._choose_knowing(exchange, pool, key, request, ids)
        return self._choose(exchange, pool, request)

    async def _choose_knowing(
        self, exchange: AiExchange, pool: ModelPool, key: ApiKey | None, request: Request, ids: Sequence[str]
    ) -> Chosen:
        """The upstream for a request that names stored things: one that knows them."""
        try:
            found = await self._find(exchange, ids)
        except StoreDown:
            if pool.shared.issuperset(pool.targets):
                return _not_read()
            found = {}
        pin = exchange.route.pin(pool, key, found, [id for id in ids if id not in found])
        if isinstance(pin, Rejection):
            return pin
        exchange.pin = pin
        return self._choose(exchange, pool, request)

    def _choose(self, exchange: AiExchange, pool: ModelPool, request: Request) -> Chosen:
        pin, affinity = exchange.pin, None
        if pool.shared and (member := account_member(exchange.document)) is not None:
            before = Pin(frozenset(pool.targets)) if pin is None else pin
            exchange.pin = pin = replace(before, targets=before.targets - pool.shared)
            if not pin.targets:
                return _shared_account(member)
        if pool.affinity is not None:
            affinity = pool.affinity.key(request.headers, exchange.document, exchange.asked)
        fits = None
        if pool.fit is not None:
            fits = pool.fit.judge(exchange.call.api, exchange.document, len(exchange.body))
        exchange.attempts = Attempts(
            pool.pool,
            pool.budget,
            self.random,
            affinity=affinity,
            pinned=None if pin is None else pin.targets,
            key=None if pin is None else pin.key,
            fits=fits,
        )
        now = self.clock.monotonic()
        attempt = exchange.attempts.first(now)
        if isinstance(attempt, Ended):
            usable = [target for target in pool.pool.targets if pin is None or target.id in pin.targets]
            if fits is not None and all(lacks := [*map(fits, usable)]):
                return unfit(exchange.asked, lacks)
            return ended(attempt, exchange.asked)
        return exchange.begin_attempt(pool, attempt, now)

    def begin_response(self, exchange: AiExchange, status: int, headers: Headers) -> Rejection | None:
        """Record the head of a target's response, and begin to read its usage.

        Returns what the client gets in place of a response that rejects the gateway's key: some repeat it.
        """
        if exchange.attempts is None:
            return None
        now, target = self.clock.monotonic(), exchange.target
        if status >= 400:
            exchange.receive(status, now, wait_of(headers, self.clock.now()))
            is_ours = status == 401 and not exchange.route.is_clients
            return make_rejection("no_provider_key", headers={SHOULD_RETRY: "false"}) if is_ours else None
        exchange.serve(status, now)
        if target is None:
            return None
        if exchange.unasked and exchange.unasked == target.provider.provider.id:
            # It serves the same request unasked. A rejection alone could be the client's doing.
            exchange.route.states.unable.add(exchange.unasked, now)
        if exchange.call.id is not None:
            if exchange.deletes and self.bindings is not None:
                self.bindings.remove(exchange.tenant_id, exchange.call.id)
            return None
        if exchange.call.api in USAGE_FIELDS:
            exchange.meter = UsageMeter(exchange.call.api, target.provider.provider.kind)
        is_stored = exchange.call.api == OPENAI_RESPONSES and _is_stored(exchange.document)
        if is_stored and self.bindings is not None:
            exchange.ids = ResponseIds(partial(self._bind, exchange, self.bindings))
        return None

    def _bind(self, exchange: AiExchange, bindings: Bindings, ids: Sequence[str]) -> None:
        """Bind the ids of a response to the target that made it, and what it continued."""
        target, attempt = exchange.target, exchange.attempt
        if target is None or attempt is None:
            return
        binding = Binding(
            provider=target.provider.provider.id,
            model=target.model,
            key=attempt.key.id if attempt.key else "",
            asked=exchange.asked,
        )
        bindings.add(exchange.tenant_id, [*ids, *conversation_ids(exchange.document)], binding)

    def end_response(self, exchange: AiExchange, body: bytes | None) -> bytes | None:
        """The response is complete. `body` is all of it if it was collected.

        Returns the body for the client; None if it was not collected.
        """
        if body is not None:
            if exchange.meter is not None:
                exchange.meter.feed_whole(body)
            if exchange.ids is not None:
                exchange.ids.feed_whole(body)
        if exchange.ids is not None:
            exchange.ids.end()
        exchange.settle(self.clock.now(), is_complete=True)
        return exchange.renamed(body) if body and exchange.route.ai.hide_target else body

    def end(self, exchange: AiExchange, *, is_sent: bool = False) -> None:
        """The exchange is over, however it ended. `is_sent` is as in `AiExchange.settle`."""
        if exchange.usage is None:
            exchange.settle(self.clock.now(), is_complete=False, is_sent=is_sent)
        exchange.end()


def _read_model(exchange: AiExchange, request: Request) -> str:
    """Keep what the body of a request says, and return the model that it names.

    Raises `BodyRejected`, and UnicodeDecodeError for the field of a form.
    """
    if has_plain_json(request.headers):
        document = plain_document_with_model(request.body)
    else:
        request = _decoded(request)
        if field := _model_field(request):
            exchange.form_model = Span(field.start, field.start + len(field.content))
            return field.content.decode()
        document = document_with_model(request)
    exchange.document, exchange.body = document, request.body or b""
    return model_in(document)


def _decoded(request: Request) -> Request:
    """The request without the content coding of its body. Raises `BodyRejected`."""
    if not request.body or "content-encoding" not in request.headers:
        return request
    headers = Headers([one for one in request.headers if one[0].lower() != "content-encoding"])
    return replace(request, headers=headers, body=DecodedBody.of(request.headers, request.body).content)


def _take_body(exchange: AiExchange, request: Request) -> None:
    """Keep the body as plugins left it, decoded, with the place of the model in a form.

    Raises `BodyRejected` on a body in which the model cannot be replaced.
    """
    is_changed = exchange.request is None or request.body != exchange.request.body
    sent = _decoded(request)
    exchange.body = sent.body or b""
    if MediaType.of(sent.headers).is_multipart:
        if is_changed or exchange.form_model is None:
            _find_model(exchange, sent)
        return
    exchange.form_model = None
    if is_changed:
        exchange.document = json_or_none(exchange.body)
    if exchange.body and not isinstance(exchange.document, dict):
        raise BodyRejected("invalid_json", "The body must be a JSON object, or a form with the field model.")


def _find_model(exchange: AiExchange, sent: Request) -> None:
    """Find the model in a form. One that has none gets an empty field at its beginning."""
    if field := _model_field(sent):
        exchange.form_model = Span(field.start, field.start + len(field.content))
    elif exchange.body:
        begin = exchange.body.partition(b"\r\n")[0] + _MODEL_PART
        exchange.body = begin + b"\r\n" + exchange.body
        exchange.form_model = Span(len(begin), len(begin))


def _is_stored(document: Any) -> bool:
    """Whether the provider stores the response to a request: it does unless the request says no."""
    return isinstance(document, dict) and document.get("store") is not False


def _not_read() -> Rejection:
    message = "The owner of a stored response cannot be read now. Retry the request."
    return make_rejection("config_unavailable", message)


def _no_response(id: str) -> Rejection:
    return make_rejection("response_not_found", f"Response with id {shown_id(id)} not found.")


def _shared_account(member: str) -> Rejection:
    return make_rejection(
        "shared_account",
        f"Tenants share the account of this provider, so a request cannot name its {member}. "
        "Use a provider of your own.",
    )


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
