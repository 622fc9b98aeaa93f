"""Reads the events of streamed answers, in a thread, and does with one of them what a test wants."""

import time
from typing import Any

from marshmallow import fields

from shared.pipeline.plugin import CONTINUE, Event, EventJudge, Exchange, Plugin, Reject, Verdict, setting


class ReaderOnStreams(Plugin):
    """Reads.

    >>> ReaderOnStreams.parse({}).act
    ''
    """

    act: str = setting(
        fields.String(load_default=""), "What happens at an event with a b: raise, junk, wait or reject."
    )

    def pre_response(self, exchange: Exchange) -> Verdict:
        return CONTINUE

    def pre_response_events(self, exchange: Exchange) -> EventJudge:
        return _Judge(self.act)


class _Judge:
    def __init__(self, act: str) -> None:
        self._act = act

    def feed(self, event: Event) -> Any:
        if "b" in (event.data or "") and self._act:
            if self._act == "raise":
                raise RuntimeError("a fault of the plugin")
            if self._act == "wait":
                time.sleep(0.5)
            return Reject(422, "content_rejected", "No b here.") if self._act == "reject" else None
        return [event]

    def end(self) -> list[Event]:
        return []
