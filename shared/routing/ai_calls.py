"""The part of rules for AI in the stages: a request's model and its target, and what its response reports."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from shared.budgets.learned import MAX_LEARNED, LearnedDemand
from shared.core.clock import Clock
from shared.core.errors import Rejection, StoreDown, make_rejection
from shared.core.http_tokens import Fields
from shared.http.body_rejected import BodyRejected
from shared.model.config import ApiKey
from shared.model.messages import Headers, Request, Response
from shared.providers.calls import ANTHROPIC_COUNT_TOKENS, ANTHROPIC_MESSAGES, OPENAI_RESPONSES, OWN, USAGE
from shared.providers.headers import SHOULD_RETRY
from shared.providers.retry_after import wait_of
from shared.providers.usage_fields import USAGE_FIELDS
from shared.routing.ai.client_body import read_model, take_body
from shared.routing.ai.own_responses import ended, estimated_tokens, models_of, unfit, usage_of
from shared.routing.ai.request_body import is_stored
from shared.routing.ai.translated import (
    MAX_IN_PLACE,
    InThread,
    RequestTranslations,
    TranslatedCall,
    TranslatedResponse,
    Untranslated,
)
from shared.routing.ai_exchange import AiExchange
from shared.routing.ai_route import AiRoute, ModelPool
from shared.routing.pool_exchange import ChosenUpstream, Tell, tell_no_worker
from shared.stored.binding import Binding, Pin, shown_id
from shared.stored.references import account_member, conversation_ids, stored_ids
from shared.stored.response_ids import ResponseIds
from shared.stored.store import Bindings
from shared.translation.notes import Context
from shared.upstreams.attempt import Ended
from shared.upstreams.attempts import Attempts
from shared.usage.estimate import estimate_request
from shared.usage.meter import UsageMeter

# Two numbers below it, written in 13 digits each, make the ids that an upstream does not give.
_HALF_TOKEN = 1 << 52
# The methods of a stored response by the end of its path; else those of the response itself.
_STORED_METHODS = {"cancel": ("POST",), "input_items": ("GET",)}
_RESPONSE_METHODS = ("GET", "DELETE")
#: The outcome of a request that plugins have let through.
Chosen = ChosenUpstream | Rejection | Response


@dataclass(frozen=True, slots=True)
class AiCalls:
    """Decides about requests to models.

    Attributes:
        clock: for the states of targets.
        random: numbers from 0 to 1, for draws among targets and keys.
        tell: tells other workers what the attempts of a request have shown.
        bindings: what providers have stored for tenants; None: nothing is known.
        learned: what requests used, for the estimates of the next ones.
        in_turns: runs a function of a tenant in a thread; None: all runs on the event loop.
    """

    clock: Clock
    random: Callable[[], float]
    tell: Tell = tell_no_worker
    bindings: Bindings | None = None
    learned: LearnedDemand = field(default_factory=lambda: LearnedDemand.of(MAX_LEARNED))
    in_turns: InThread | None = None

    def begin(self, path: str, ai: AiRoute) -> AiExchange | Rejection:
        """Find the API that a request calls, before its body has come."""
        if path in ai.calls:
            call = ai.calls[path]
        elif isinstance(found := ai.call(path), Rejection):
            return found
        else:
            call = found
        exchange = AiExchange(ai, call, self.learned, self.clock.now)
        exchange.tell = self.tell  # an argument with a name would take longer
        return exchange

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
            name = read_model(exchange, request)
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
        """The bindings of the ids of the tenant. Raises `StoreDown`."""
        return {} if self.bindings is None else await self.bindings.find(exchange.tenant_id, ids)

    def choose(
        self, exchange: AiExchange, key: ApiKey | None, request: Request
    ) -> Chosen | Awaitable[Chosen]:
        """The upstream for a request that plugins have let through, and its body for that upstream.

        Or the response, where the gateway responds itself. The upstream of a request that names stored things
        has to be awaited, and so has that of a long one that is translated.
        """
        pool = exchange.pool
        if pool is None:
            return usage_of(key, request) if exchange.call.api == USAGE else models_of(exchange, key, request)
        # A body that no plugin has seen was read by `resolve`.
        if request is not exchange.request or type(exchange.document) is not dict:
            try:
                take_body(exchange, request)
            except BodyRejected as error:
                return make_rejection(error.code, str(error))
        if exchange.call.api == OPENAI_RESPONSES and exchange.call.id is None:
            ids = stored_ids(exchange.document)
            if ids and len(exchange.route.translated(pool, OPENAI_RESPONSES)) < len(pool.targets):
                return self._choose_knowing(exchange, pool, key, request, ids)
        try:
            return self._choose(exchange, pool, request)
        except Untranslated as waiting:
            return self._choose_later(exchange, pool, request, waiting)

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
        return await self._choose_later(exchange, pool, request)

    async def _choose_later(
        self, exchange: AiExchange, pool: ModelPool, request: Request, waiting: Untranslated | None = None
    ) -> Chosen:
        """`_choose`, with a long request translated in a thread for each call on which the choice depends."""
        while True:
            if waiting is not None:
                await waiting.translate()
            try:
                return self._choose(exchange, pool, request)
            except Untranslated as another:
                waiting = another

    def _choose(self, exchange: AiExchange, pool: ModelPool, request: Request) -> Chosen:
        if exchange.pin is not None or exchange.call.api not in pool.plain:
            return self._choose_by_content(exchange, pool, request)
        exchange.attempts = Attempts(pool.pool, pool.budget, self.random)
        now = self.clock.monotonic()
        attempt = exchange.attempts.first(now)
        if isinstance(attempt, Ended):
            return ended(attempt, exchange.asked)
        return exchange.begin_attempt(pool, attempt, now)

    def _choose_by_content(self, exchange: AiExchange, pool: ModelPool, request: Request) -> Chosen:
        """`_choose` where it depends on what the request says."""
        if exchange.call.api == ANTHROPIC_COUNT_TOKENS:
            counting = pool.speaking(ANTHROPIC_COUNT_TOKENS)
            if not counting:
                return estimated_tokens(exchange.document)
            exchange.pin = Pin(counting)
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
        if exchange.call.id is None and (calls := exchange.route.translated(pool, exchange.call.api)):
            fits = self._translations(exchange, calls).fitting(fits)
        exchange.attempts = attempts = Attempts(pool.pool, pool.budget, self.random)
        attempts.affinity, attempts.fits = affinity, fits
        attempts.pinned = None if pin is None else pin.targets
        attempts.key = None if pin is None else pin.key
        now = self.clock.monotonic()
        attempt = attempts.first(now)
        if isinstance(attempt, Ended):
            usable = [target for target in pool.pool.targets if pin is None or target.id in pin.targets]
            if fits is not None and all(lacks := [*map(fits, usable)]):
                rejection = exchange.translations and exchange.translations.rejection(exchange.asked, usable)
                return rejection or unfit(exchange.asked, lacks)
            return ended(attempt, exchange.asked)
        return exchange.begin_attempt(pool, attempt, now)

    def _translations(self, exchange: AiExchange, calls: Mapping[str, TranslatedCall]) -> RequestTranslations:
        """The translations of the request, also of one that has waited for its translation."""
        if exchange.translations is None:
            in_thread = None
            if self.in_turns is not None and len(exchange.body) > MAX_IN_PLACE:
                in_thread = partial(self.in_turns, exchange.tenant_id)
            exchange.translations = RequestTranslations(calls, exchange.document, in_thread)
        return exchange.translations

    def begin_response(self, exchange: AiExchange, status: int, fields: Fields) -> Rejection | None:
        """Record the head of a target's response, and begin to read its usage.

        Returns what the client gets in place of a response that rejects the gateway's key: some repeat it.
        """
        if exchange.attempts is None:
            return None
        now, chosen = self.clock.monotonic(), exchange.chosen
        if exchange.translated_call is not None:
            exchange.translated = self.translated(exchange)
        if status >= 400:
            exchange.receive(status, now, wait_of(Headers.of(fields), self.clock.now()))
            is_ours = status == 401 and not exchange.route.is_clients
            return make_rejection("no_provider_key", headers={SHOULD_RETRY: "false"}) if is_ours else None
        exchange.serve(status, now)
        if chosen is None:
            return None
        provider = chosen.resolved.provider.provider
        if exchange.unasked and exchange.unasked == provider.id:
            # It serves the same request unasked. A rejection alone could be the client's doing.
            exchange.route.states.unable.add(exchange.unasked, now)
        if exchange.call.id is not None:
            if exchange.deletes and self.bindings is not None:
                self.bindings.remove(exchange.tenant_id, exchange.call.id)
            return None
        if exchange.upstream_api in USAGE_FIELDS:
            exchange.meter = UsageMeter(exchange.upstream_api, provider.kind)
        is_kept = exchange.call.api == exchange.upstream_api == OPENAI_RESPONSES
        if is_kept and is_stored(exchange.document) and self.bindings is not None:
            exchange.ids = ResponseIds(partial(self._bind, exchange, self.bindings))
        return None

    def translated(self, exchange: AiExchange) -> TranslatedResponse | None:
        """The translator of the response of the present target; None: it speaks the API of the client."""
        call = exchange.translated_call
        if exchange.translations is None or call is None:
            return None
        document, tokens = exchange.document, 0
        if exchange.call.api == ANTHROPIC_MESSAGES and isinstance(document, dict) and document.get("stream"):
            tokens = estimate_request(document, api=ANTHROPIC_MESSAGES)
        context = Context(
            notes=exchange.translations.of(call).notes,
            now=int(self.clock.now()),
            token="".join([f"{int(self.random() * _HALF_TOKEN):013x}" for _ in range(2)]),
            model=exchange.asked if exchange.route.ai.hide_target else "",
            input_tokens=tokens,
        )
        return TranslatedResponse(call, exchange.call.api, context)

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

    def end_response(self, exchange: AiExchange, body: bytes | None) -> bytes | Rejection | None:
        """The response is complete. `body` is all of it if it was collected.

        Returns the body for the client, or what the client gets in its place; None if it was not collected.
        """
        if body is not None:
            if exchange.meter is not None:
                exchange.meter.body = body
            if exchange.ids is not None:
                exchange.ids.feed_whole(body)
        if exchange.ids is not None:
            exchange.ids.end()
        exchange.settle(self.clock.now(), is_complete=True)
        if body is None or (exchange.translated is None and not exchange.route.ai.hide_target):
            return body
        return exchange.for_client(body)

    def end(self, exchange: AiExchange, *, is_sent: bool = False) -> None:
        """The exchange is over, however it ended. `is_sent` is as in `AiExchange.settle`."""
        if exchange.usage is None:
            exchange.settle(self.clock.now(), is_complete=False, is_sent=is_sent)
        exchange.ids = None  # it refers to the exchange
        exchange.end()


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
