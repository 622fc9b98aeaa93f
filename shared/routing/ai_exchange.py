"""One request to a model: what was asked, which target serves it, and what it used."""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from shared.bodies.json.lenient import json_or_none
from shared.bodies.json.members import Span, with_member
from shared.bodies.json.model_names import ModelRenamer, with_model
from shared.core.http_tokens import Fields
from shared.model.messages import encoded
from shared.model.pools import PoolPolicy
from shared.providers.calls import ApiCall
from shared.providers.resolve import Resolution, ResolvedTarget
from shared.routing.ai_route import AiRoute, ModelPool
from shared.routing.pool_exchange import PoolExchange
from shared.routing.upstream import Upstream
from shared.upstreams.commit import StreamStart
from shared.upstreams.outcome import Outcome, outcome_of_response
from shared.usage.asking import AUTO, UsageRemover, ask_for_usage, has_to_ask
from shared.usage.estimate import estimate_request
from shared.usage.meter import UsageMeter
from shared.usage.prices import Rates, usd
from shared.usage.row import Source, Usage, day_of

#: Points a flow at an upstream, with a body for it.
Send = Callable[[Upstream, bytes], None]
#: Called with each piece of a body; returns what is sent.
Pass = Callable[[bytes], Any]


@dataclass(slots=True)
class AiExchange(PoolExchange):
    """The state of a request to a model.

    Attributes:
        route: the rule.
        call: the API and its path.
        resolution: the targets for the name that was asked for; None before it is known.
        document: the JSON of the request; None for another body.
        form_model: the place of the model's name in a form; None for another body.
        pool: where it may go.
        body: the body as plugins left it, with the name that the client asked for.
        send: points the flow at an upstream, with a body; None before the first target is chosen.
        start: judges the beginning of a stream that is held back.
        asks_usage: the target was asked for the usage of the stream, and the client did not ask.
        unasked: the id of the provider that rejected this, and is not asked again.
        meter: reads the usage of the response; None while there is none to read.
        usage, rates, cost: what was used, at which prices, and the sum in nano-USD. None before the end; the
            prices and the sum also when they are not known.
    """

    route: AiRoute
    call: ApiCall
    resolution: Resolution | None = None
    document: Any = None
    form_model: Span | None = None
    pool: ModelPool | None = None
    body: bytes = field(default=b"", repr=False)
    send: Send | None = None
    start: StreamStart | None = None
    asks_usage: bool = False
    unasked: str = ""
    meter: UsageMeter | None = None
    usage: Usage | None = None
    rates: Rates | None = field(default=None, repr=False)
    cost: int | None = None

    @property
    def policy(self) -> PoolPolicy | None:
        return None if self.pool is None else self.pool.pool.policy

    @property
    def has_own_timeout(self) -> bool:
        return self.target is None or not self.route.is_shortened(self.target)

    def judge(self, status: int, body: bytes, wait: float | None) -> Outcome:
        return outcome_of_response(status, body, wait)

    @property
    def tenant_id(self) -> str:
        return self.route.tenant_id

    def forward(self, now: float) -> None:
        if self.pool is not None and self.attempt is not None and self.send is not None:
            self.send(self.route.upstream(self.pool, self.attempt, self.call), self.body_for_target(now))

    @property
    def target(self) -> ResolvedTarget | None:
        """The target of the present attempt."""
        if self.pool is None or self.attempt is None:
            return None
        return self.pool.targets[self.attempt.target.id]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the models that may serve the request; none before they are known."""
        return () if self.resolution is None else self.resolution.names

    @property
    def asked(self) -> str:
        """The model that the client asked for."""
        return "" if self.resolution is None else self.resolution.asked

    @property
    def hides_target(self) -> bool:
        """Whether the client must not see which model and provider respond."""
        return self.route.ai.hide_target and self.resolution is not None

    def body_for_target(self, now: float) -> bytes:
        """The body for the present target: with its name of the model, and asking for a stream's usage."""
        target, document, body = self.target, self.document, self.body
        if target is None:
            return body
        if self.form_model is not None:
            start, end = self.form_model
            return body[:start] + target.model.encode() + body[end:]
        if not isinstance(document, dict):
            return body
        if document.get("model") != target.model:
            body = with_member(body, "model", orjson.dumps(target.model))
        provider_id = target.provider.provider.id
        self.asks_usage = has_to_ask(
            self.call.api,
            document,
            stream_usage=self.attempt.target.caps.stream_usage if self.attempt else AUTO,
            is_unable=self.unasked == provider_id or self.route.states.unable.has(provider_id, now),
        )
        return ask_for_usage(body) if self.asks_usage else body

    def metered(self, pass_on: Pass, *, is_stream: bool) -> Pass:
        """`pass_on`, and each piece is read for its usage first.

        The usage that the client did not ask for is removed, and a target that is hidden is not named.
        """
        if is_stream and self.hides_target:
            pass_on = _filtered(ModelRenamer(self.asked), pass_on)
        if self.meter is None:
            return pass_on
        if not is_stream:
            return _reading(self.meter.feed_whole, pass_on)
        cleaned = _filtered(UsageRemover(), pass_on) if self.asks_usage else pass_on
        return _reading(self.meter.feed_stream, cleaned)

    def renamed(self, body: bytes) -> bytes:
        """A response that was collected, as the client gets it."""
        if not self.hides_target:
            return body
        if isinstance(json_or_none(body), dict):
            start = body.index(b"{")
            return body[:start] + with_model(body[start:], self.asked)
        changes = ModelRenamer(self.asked)
        return changes.feed(body) + changes.end()

    def settle(self, now: float, *, is_complete: bool) -> Usage | None:
        """What the request used, once: at the end of the response, or when it broke off."""
        target = self.target
        if self.usage is None and self.meter is not None and target is not None:
            usage = self.meter.finish(estimate=0, is_complete=is_complete)
            if usage.source is not Source.REPORTED and not usage.input:
                usage = replace(usage, input=estimate_request(self.document))
            self.usage = usage
            self.rates = rates = self.route.rates(target, day=day_of(now), tier=self.meter.report.tier)
            self.cost = None if rates is None else rates.cost(usage)
        return self.usage

    def fields(self) -> Fields:
        """The headers that tell the client about the target, and at the end about the cost."""
        target = self.target
        if target is None:
            return ()
        found: list[tuple[bytes, bytes]] = []
        if not self.hides_target:
            found.append((b"X-Gateway-Provider", encoded(target.provider.name)))
            found.append((b"X-Gateway-Model", encoded(target.model)))
        found += self.attempt_fields()
        if self.usage is not None:
            found.append((b"X-Gateway-Usage-Source", self.usage.source.encode()))
            if self.cost is not None:
                found.append((b"X-Gateway-Cost", usd(self.cost).encode()))
        return tuple(found)


def _reading(feed: Callable[[bytes], None], pass_on: Pass) -> Pass:
    def passing(piece: bytes) -> Any:
        feed(piece)
        return pass_on(piece)

    return passing


def _filtered(changes: UsageRemover | ModelRenamer, pass_on: Pass) -> Pass:
    def passing(piece: bytes) -> Any:
        if piece:
            left = changes.feed(piece)
            return pass_on(left) if left else []
        rest = changes.end()
        if not rest:
            return pass_on(b"")
        return _joined(pass_on(rest), pass_on)

    return passing


def _joined(first: Any, pass_on: Pass) -> Any:
    """What is sent for the rest of a stream, and then for its end."""
    if inspect.isawaitable(first):
        return _joined_later(first, pass_on)
    last = pass_on(b"")
    if inspect.isawaitable(last):
        return _after(_pieces(first), last)
    return [*_pieces(first), *_pieces(last)]


async def _joined_later(first: Awaitable[Any], pass_on: Pass) -> list[bytes]:
    sent = _pieces(await first)
    last = pass_on(b"")
    return [*sent, *_pieces(await last if inspect.isawaitable(last) else last)]


async def _after(sent: list[bytes], last: Awaitable[Any]) -> list[bytes]:
    return [*sent, *_pieces(await last)]


def _pieces(sent: Any) -> list[bytes]:
    return [sent] if isinstance(sent, bytes) else list(sent)
