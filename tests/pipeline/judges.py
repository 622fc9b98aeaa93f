"""Judges of events that do what a test tells them, and plugins that make them."""

import asyncio
from collections.abc import Callable
from typing import Any

from shared.model.event import Event
from shared.model.messages import Exchange
from tests.pipeline.world import Acting


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
