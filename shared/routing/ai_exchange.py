"""One request to a model: what was asked, which target serves it, and what it used."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

from shared.bodies.json.members import Span
from shared.bodies.json.model_names import ModelRenamer, renamed_response
from shared.budgets.allowance import Allowance
from shared.budgets.demand import NOTHING, Demand, amount_of, demand_of
from shared.budgets.learned import LearnedDemand
from shared.budgets.reservation import Reservation
from shared.budgets.stream_cutter import StreamCutter
from shared.core.errors import ERRORS, Rejection, make_rejection
from shared.core.http_tokens import Fields
from shared.http.passing import Pass, filtered, reading
from shared.model.amounts import usd
from shared.model.messages import Expected, Request
from shared.model.pools import PoolPolicy
from shared.providers.calls import OPENAI_AUDIO, OPENAI_RESPONSES, SPEECH, ApiCall
from shared.providers.resolve import Resolution, ResolvedTarget
from shared.providers.usage_fields import USAGE_FIELDS
from shared.routing.ai.request_body import characters, is_in_background, sent_body
from shared.routing.ai.translated import RequestTranslations, TranslatedCall, TranslatedResponse
from shared.routing.ai_route import SOURCE_FIELDS, AiRoute, CompiledTarget, ModelPool
from shared.routing.pool_exchange import ChosenUpstream, PoolExchange
from shared.routing.provider_calls import ProviderCalls
from shared.stored.binding import Pin
from shared.stored.response_ids import ResponseIds
from shared.translation.notes import HEADER, BadResponse
from shared.upstreams.attempt import Attempt
from shared.upstreams.commit import StreamStart, WholeBody
from shared.upstreams.outcome import Fault, Outcome, outcome_of_response
from shared.usage.asking import UsageRemover
from shared.usage.estimate import estimate_request
from shared.usage.meter import UsageMeter
from shared.usage.prices import Rates
from shared.usage.row import AbandonedCall, Source, Usage


@dataclass(slots=True, eq=False, repr=False)
class AiExchange(PoolExchange):
    """The state of a request to a model.

    Attributes:
        route: the rule.
        call: the API and its path.
        learned: what the worker has learned of the demand of others.
        now: the time, for prices.
        upstream_api: the API by which the present target is called; empty without one.
        resolution: the targets for the name that was asked for; None before it is known.
        request: the request as the client sent it, once its model is known.
        document: the JSON of the request; None for another body.
        form_model: the place of the model's name in a form; None for another body.
        pool: where it may go.
        body: the body as plugins left it, decoded, with the name that the client asked for.
        chosen: the target of the present attempt, compiled.
        start: judges the beginning of a response that is held back.
        asks_usage: the target was asked for the usage of the stream, and the client did not ask.
        unasked: the id of the provider that rejected this, and is not asked again.
        held: the pieces of a stream that is held back; None: none is.
        is_doubtful: a call was sent that has no response, so a provider may bill it.
        meter: reads the usage of the response; None while there is none to read.
        abandoned: the calls that another one followed although they had reported usage.
        pin: the targets that know what the request names; None: any may serve it.
        deletes: the request deletes the stored response that its path names.
        ids: reads the ids under which the provider stores the response; None: it stores nothing.
        usage, rates, cost, cost_usd: what was used, at which prices, and the sum in nano-USD and as decimal
            text. None before the end; the prices and the sum also when they are not known.
        key_id: the API key of the client; empty: none.
        reservation: the holds of budgets; None: no budget counts the request.
        admission: the headers that tell the client how budgets have changed its request.
        cutter: lets a stream pass while its budgets do; None: they do not count its output.
        translations: those of the request; None: all targets speak the API of the client.
        translated_call: how the present target is called; None: it speaks the API of the client.
        translated: translates its response; None: it passes as it is.
    """

    route: AiRoute
    call: ApiCall
    learned: LearnedDemand
    now: Callable[[], float]
    upstream_api: str = ""
    resolution: Resolution | None = None
    request: Request | None = None
    document: Any = None
    form_model: Span | None = None
    pool: ModelPool | None = None
    body: bytes = b""
    chosen: CompiledTarget | None = None
    start: StreamStart | WholeBody | None = None
    asks_usage: bool = False
    unasked: str = ""
    held: list[bytes] | None = None
    is_doubtful: bool = False
    meter: UsageMeter | None = None
    abandoned: Sequence[AbandonedCall] = ()
    pin: Pin | None = None
    deletes: bool = False
    ids: ResponseIds | None = None
    usage: Usage | None = None
    rates: Rates | None = None
    cost: int | None = None
    cost_usd: str | None = None
    key_id: str = ""
    reservation: Reservation | None = None
    admission: Fields = ()
    cutter: StreamCutter | None = None
    translations: RequestTranslations | None = None
    translated_call: TranslatedCall | None = None
    translated: TranslatedResponse | None = None
    _demand: Demand | None = None

    @property
    def target(self) -> ResolvedTarget | None:
        """The target of the present attempt, as it was resolved."""
        return None if self.chosen is None else self.chosen.resolved

    @property
    def policy(self) -> PoolPolicy | None:
        return None if self.pool is None else self.pool.pool.policy

    def has_own(self, *timeouts: str) -> bool:
        return self.target is None or not self.route.is_shortened(self.target, *timeouts)

    def judge(self, status: int, body: bytes, wait: float | None) -> Outcome:
        found = outcome_of_response(status, body, wait)
        if found.fault is Fault.KEY and self.route.is_clients:
            # An error of the provider about the client's own credential is for the client.
            return replace(found, kind=None, fault=Fault.CLIENT, effect=None)
        return found

    @property
    def tenant_id(self) -> str:
        return self.route.tenant_id

    def forward(self, now: float) -> None:
        if self.pool is not None and self.attempt is not None and self.send is not None:
            chosen = self.begin_attempt(self.pool, self.attempt, now)
            self.send(chosen.upstream, chosen.body)

    def begin_attempt(self, pool: ModelPool, attempt: Attempt, now: float) -> ChosenUpstream:
        """The upstream of an attempt, with its body."""
        chosen = pool.targets[attempt.target.id]
        self.attempt, self.chosen, self.upstream_api = attempt, chosen, self.call.api
        if self.translations is not None:
            call = self.translated_call = self.translations.call(attempt.target.id)
            if call is not None:
                self.upstream_api = call.call.api
            self.translated = None
        upstream = self.route.upstream(chosen, attempt.key, self.call, self.translated_call)
        return ChosenUpstream(upstream, self._body(chosen, attempt, now), self)

    @property
    def shared_provider(self) -> ProviderCalls | None:
        target = self.target
        return None if target is None else self.route.shared_provider(target)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the models that may serve the request; none before they are known."""
        return () if self.resolution is None else self.resolution.names

    @property
    def demand(self) -> Demand:
        """The demand of the request as it came from the client. Worked out once, when it is asked for."""
        if self._demand is None:
            self._demand = NOTHING if self.pool is None else self.estimate(self.pool, self.asked)
        return self._demand

    def estimate(self, pool: ModelPool, asked: str) -> Demand:
        """The demand of the request to the targets of a pool, for the name of its model."""
        learned, tenant_id = self.learned, self.route.tenant_id
        return demand_of(
            self.call,
            self.document,
            len(self.request.body or b"") if self.request is not None else 0,
            rates=self.route.all_rates(pool, self.now()),
            max_output=pool.max_output,
            usual_output=learned.usual_output(self.key_id or tenant_id, asked),
            factor=learned.factor(tenant_id, asked),
        )

    def admit(self, reservation: Reservation, found: tuple[Resolution, ModelPool] | None) -> None:
        """Budgets admit the request, for another model than the one asked for if one was `found`."""
        self.admission, self.reservation = reservation.headers, reservation if reservation.holds else None
        if found is not None:
            self.resolution, self.pool = found
            self._demand = reservation.demand

    def expected(self, unit: str) -> Expected | None:
        """The expected use of a unit, see `shared.model.messages.Metered`."""
        return self.demand.expected(unit)

    def used(self, unit: str) -> int | None:
        """The use of a unit; 0 before the end of the request, and if no provider may bill it."""
        return 0 if self.usage is None else amount_of(unit, self.usage, self.cost)

    @property
    def asked(self) -> str:
        """The model that the client asked for."""
        return "" if self.resolution is None else self.resolution.asked

    @property
    def hides_target(self) -> bool:
        """Whether the client must not see which model and provider respond."""
        return self.route.ai.hide_target and self.resolution is not None

    def _body(self, chosen: CompiledTarget, attempt: Attempt, now: float) -> bytes:
        """The body for a target: with its name of the model, and asking for a stream's usage."""
        resolved, document, body = chosen.resolved, self.document, self.body
        if self.form_model is not None:
            return body[: self.form_model.start] + resolved.model.encode() + body[self.form_model.end :]
        if self.translations is not None and self.translated_call is not None:
            document, body, _ = self.translations.of(self.translated_call)
        if type(document) is not dict or self.call.id is not None:
            return body
        is_free = self.reservation is None and not document.get("stream")
        if is_free and document.get("model") == resolved.model:
            self.asks_usage = False
            return body  # as it came
        provider = resolved.provider.provider
        body, self.asks_usage = sent_body(
            body,
            document,
            api=self.upstream_api,
            kind=provider.kind,
            model=(resolved.model, chosen.model),
            most_output=None if self.reservation is None else self.reservation.max_output,
            stream_usage=attempt.target.caps.stream_usage,
            is_unable=bool(document.get("stream"))
            and (self.unasked == provider.id or self.route.states.unable.has(provider.id, now)),
        )
        return body

    def metered(self, pass_on: Pass, *, is_stream: bool) -> Pass:
        """`pass_on`, and each piece is read for its usage first.

        The usage that the client did not ask for is removed, and a target that is hidden is not named.
        """
        if self.translated is not None:
            pass_on = filtered(self.translated, pass_on)
        elif is_stream and self.hides_target:
            pass_on = filtered(ModelRenamer(self.asked), pass_on)
        if self.ids is not None:
            pass_on = reading(self.ids.feed_stream if is_stream else self.ids.feed_whole, pass_on)
        if self.meter is None:
            return pass_on
        if not is_stream:
            return reading(self.meter.feed_whole, pass_on)
        if self.asks_usage and self.translated is None:
            pass_on = filtered(UsageRemover(), pass_on)
        return reading(self.meter.feed_stream, pass_on)

    def open_cutter(self) -> StreamCutter | None:
        """The cutter for the stream of the present target; None if no budget counts its output."""
        reserved = None if self.reservation is None else self.reservation.output
        if reserved is None or self.meter is None:
            return None
        per_token = self.learned.text.of(self._text_name)
        self.cutter = StreamCutter(Allowance(reserved), self.upstream_api, per_token)
        return self.cutter

    @property
    def _text_name(self) -> str:
        return f"{self.tenant_id} {self.target.id if self.target else ''}"

    def for_client(self, body: bytes) -> bytes | Rejection:
        """A response that was collected, as the client gets it."""
        if self.translated is None:
            return renamed_response(body, self.asked) if body and self.route.ai.hide_target else body
        try:
            return self.translated.whole(body)
        except BadResponse as error:
            return make_rejection("translation_failed", f"{ERRORS['translation_failed'][1]} {error}")

    def give_up(self, now: float) -> None:
        """Keep what the present call has reported: another one follows."""
        meter, chosen = self._held_meter(), self.chosen
        self.held = None
        if meter is None or chosen is None:
            return
        usage = meter.finish(estimate=0)
        if not meter.reported.numbers:
            return
        rates = self.route.rates(chosen, now, meter.reported.tier)
        call = AbandonedCall(
            provider=chosen.resolved.provider.name,
            model=chosen.resolved.model,
            usage=usage,
            cost_nano=None if rates is None else rates.cost(usage),
            rates={} if rates is None else rates.for_call(usage),
        )
        self.abandoned = (*self.abandoned, call)

    def _held_meter(self) -> UsageMeter | None:
        """A meter that has read the stream that is held back; None if none is."""
        if not self.held or self.target is None:
            return None
        meter = UsageMeter(self.upstream_api, self.target.provider.provider.kind)
        for piece in self.held:
            meter.feed_stream(piece)
        return meter

    def settle(self, now: float, *, is_complete: bool, is_sent: bool = False) -> None:
        """Work out what the request used, once: at the end of the response, or when it broke off.

        `is_sent`: the present call was sent, and has no response.
        """
        chosen = self.chosen
        if self.usage is not None or chosen is None:
            return
        usage = self._own_usage(is_complete=is_complete, is_sent=is_sent)
        if usage is not None:
            tier = "" if self.meter is None else self.meter.reported.tier
            rates = self.route.rates(chosen, now, tier)
            if rates is not None and (self.call.api != OPENAI_AUDIO or rates.cover(usage)):
                self.rates, self.cost = rates, rates.cost(usage)
            if self._demand is not None and is_complete and not self.abandoned:
                self._learn(self._demand, usage)
        self.usage = self._with_abandoned(usage) if self.abandoned else usage
        self.cost_usd = None if self.cost is None else usd(self.cost)

    def _learn(self, demand: Demand, usage: Usage) -> None:
        """Compare what was expected with what the provider reported."""
        if usage.source is Source.REPORTED:
            learned, asked = self.learned, self.asked
            learned.learn_input(self.tenant_id, asked, estimate=demand.estimate, reported=usage.input)
            output = -(-usage.output // demand.choices)
            learned.learn_output(self.key_id or self.tenant_id, asked, output)
            if self.cutter is not None:
                learned.text.learn(
                    self._text_name, size=self.cutter.size, output=usage.output, reasoning=usage.reasoning
                )

    def _own_usage(self, *, is_complete: bool, is_sent: bool) -> Usage | None:
        """The usage of the call that was served, or of one that may be billed; None if there is none."""
        if self.call.id is not None:
            return None  # that of a stored response was counted when it was made
        if self.meter is None:
            self.meter = self._held_meter()
        if self.meter is not None:
            received = None if self.cutter is None else self.cutter.received
            usage = self.meter.finish(estimate=0, is_complete=is_complete, passed=received)
        elif (is_sent or self.is_doubtful) and self.call.api in USAGE_FIELDS:
            usage = Usage(source=Source.ESTIMATED)
        else:
            return None
        if usage.source is Source.REPORTED and self.call.path != SPEECH:  # the usual case
            return usage
        if self.call.path == SPEECH:
            usage = replace(usage, characters=characters(self.document))
            if usage.source is Source.ESTIMATED:
                usage = replace(usage, output=0)  # the response is sound, whose tokens cannot be seen
        if usage.source is not Source.REPORTED and not usage.input:
            usage = replace(usage, input=estimate_request(self.document, len(self.body)))
        if usage.source is not Source.REPORTED and self._goes_on:
            usage = replace(usage, output=max(usage.output, self.demand.most.output))
        return usage

    @property
    def _goes_on(self) -> bool:
        """The provider makes the response in the background: it goes on, and reports its usage later."""
        finish = "" if self.meter is None else self.meter.reported.finish
        is_kept = self.call.api == OPENAI_RESPONSES and is_in_background(self.document)
        return is_kept and finish in ("", "queued", "in_progress")

    def _with_abandoned(self, usage: Usage | None) -> Usage:
        """The usage with that of the abandoned calls, whose costs are added to `cost`."""
        costs = sum([call.cost_nano or 0 for call in self.abandoned])
        if usage is None or self.cost is not None:
            self.cost = (self.cost or 0) + costs
        usages = [call.usage for call in self.abandoned]
        return reduce(Usage.plus, usages if usage is None else [usage, *usages])

    def fields(self) -> Fields:
        """The headers that tell the client about its admission, the target, and at the end the cost."""
        chosen, usage = self.chosen, self.usage
        if chosen is None:
            return self.admission
        found = self.admission if self.route.ai.hide_target else self.admission + chosen.fields
        if self.translated is not None:
            report = self.translated.report(is_hidden=self.route.ai.hide_target)
            found += ((HEADER.encode(), report.encode()),)
        if self.is_hard or (self.attempts is not None and self.attempts.number > 1):
            found += self.attempt_fields()
        if usage is None:
            return found
        source, cost = SOURCE_FIELDS[usage.source], self.cost_usd
        return (*found, source) if cost is None else (*found, source, (b"X-Gateway-Cost", cost.encode()))
