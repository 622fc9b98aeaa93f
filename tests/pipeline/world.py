"""An exchange, and plugins and judges of events that do what a test tells them."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from shared.core.empty import EMPTY
from shared.model.config import Rule, Stage, Tenant
from shared.model.event import Event
from shared.model.messages import Exchange, Headers, Request
from shared.pipeline.plan import Plan, make_plan
from shared.pipeline.plugin import CONTINUE, Plugin, ResolvedEntry, Verdict

TENANT = Tenant("t1", "T", "t1")
RULE = Rule("r1", "/v1", "http://upstream.example")
ANYTHING = frozenset({"headers", "body", "status"})


def exchange(**more: Any) -> Exchange:
    request = Request("POST", "/v1/x", Headers([("Host", "t1.example.com"), ("X-In", "1")]), body=b"{}")
    return Exchange("id-1", TENANT, RULE, request, "192.0.2.1", **more)


class Acting(Plugin):
    """At every stage does `act`, in a thread of the pool."""

    name = "acting"
    changes = ANYTHING

    def __init__(self, act: Callable[[Exchange], Any] = lambda _: CONTINUE, called: str = "") -> None:
        self.act = act
        if called:
            self.name = called  # type: ignore[misc]

    def pre_request(self, exchange: Exchange) -> Verdict:
        verdict: Verdict = self.act(exchange)
        return verdict

    post_request = pre_response = post_response = pre_request


class ActingInPlace(Acting):
    """The same, on the loop."""

    name = "acting_in_place"
    blocking = False


class ActingAsync(Acting):
    """At every stage does `act` and awaits it."""

    name = "acting_async"

    async def pre_request(self, exchange: Exchange) -> Verdict:  # type: ignore[override]
        verdict: Verdict = await self.act(exchange)
        return verdict

    post_request = pre_response = post_response = pre_request


class ActingInTask(ActingAsync):
    """The same, in the task of the exchange."""

    name = "acting_in_task"
    own_task = False


class Reading(Plugin):
    """Passes everything; reads and changes what a test says."""

    def __init__(self, reads: str = "", changes: str = "") -> None:
        self.reads, self.changes = frozenset(reads.split()), frozenset(changes.split())

    def pre_request(self, exchange: Exchange) -> Verdict:
        return CONTINUE

    post_request = pre_response = post_response = pre_request


class FollowingUp(ActingInPlace):
    """Has both follow-ups: `heads` are its response headers, `end` sees the end."""

    name = "following_up"

    def __init__(
        self,
        act: Callable[[Exchange], Any] = lambda _: CONTINUE,
        heads: Callable[[Exchange], Any] = lambda _: EMPTY,
        end: Callable[[Exchange], Any] = lambda _: None,
        called: str = "",
    ) -> None:
        super().__init__(act, called)
        self.heads, self.end = heads, end

    def response_headers(self, exchange: Exchange) -> Mapping[str, str]:
        added: Mapping[str, str] = self.heads(exchange)
        return added

    async def cleanup(self, exchange: Exchange) -> None:
        self.end(exchange)


def entry(plugin: Plugin, stage: Stage = Stage.PRE_REQUEST, **more: Any) -> ResolvedEntry:
    usual = {"priority": 100, "parallel": False, "on_error": "closed", "timeout": 5.0}
    place = {"origin": "rule", "tenant_id": "t1", "rule_id": "r1"}
    return ResolvedEntry(plugin=plugin, stage=stage, **{**usual, **place, **more})


def plan_of(*chain: ResolvedEntry) -> Plan:
    """The plan of a rule that does not collect streams."""
    return make_plan(chain, buffer_streams=False)


def event(text: str) -> Event:
    return Event(f"data: {text}\n\n".encode(), text)


class Judge:
    """Answers to an event what `act` says; at the end `last`."""

    def __init__(self, act: Callable[[Event], Any], last: Callable[[], Any] = list) -> None:
        self.act, self.last = act, last

    def feed(self, one: Event) -> Any:
        return self.act(one)

    def end(self) -> Any:
        return self.last()


class AsyncJudge(Judge):
    """The same, after a turn of the loop."""

    async def feed(self, one: Event) -> Any:
        await asyncio.sleep(0)
        return self.act(one)

    async def end(self) -> Any:
        await asyncio.sleep(0)
        return self.last()


class Holding(Judge):
    """Holds back the last `number` events."""

    def __init__(self, number: int) -> None:
        held: list[Event] = []

        def act(one: Event) -> list[Event]:
            held.append(one)
            return [held.pop(0)] if len(held) > number else []

        super().__init__(act, lambda: held)


class ActiveJudge(Acting):
    """Judges events in place. Reads bodies, changes nothing."""

    name = "judging"
    changes = frozenset()
    events_in_place = True

    def __init__(self, starts_stream: Callable[[Exchange], Any], called: str = "") -> None:
        super().__init__(called=called)
        self.starts_stream = starts_stream

    def pre_response_events(self, exchange: Exchange) -> Any:
        return self.starts_stream(exchange)


class JudgingInThread(ActiveJudge):
    """In a thread."""

    name = "judging_in_thread"
    events_in_place = False


class JudgingAsync(ActiveJudge):
    """Makes its judges in a coroutine; those may wait too."""

    name = "judging_async"
    events_in_place = False

    async def pre_response_events(self, exchange: Exchange) -> Any:
        await asyncio.sleep(0)
        return self.starts_stream(exchange)
