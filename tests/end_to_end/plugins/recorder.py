"""Says on the answer, and in a file, at which stages it acted and in which order."""

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from marshmallow import fields

from shared.model.messages import Headers, Response
from shared.pipeline.plugin import CONTINUE, Exchange, Plugin, Reject, Respond, Verdict, setting


def _raise() -> Any:
    raise RuntimeError("a fault of the plugin")


def _recurse() -> Any:
    return _recurse()


_FAULTS: Mapping[str, Callable[[], Any]] = {
    "raises": _raise,
    "exits": lambda: sys.exit(3),
    "recurses": _recurse,
    "returns junk": lambda: "continue",
    "takes too long": lambda: time.sleep(0.4),
}


class Recorder(Plugin):
    """Records.

    >>> Recorder.parse({"file": "x"}).file
    'x'
    """

    reads = frozenset({"headers"})
    file: str = setting(fields.String(required=True), "Where to write what happens.")
    label: str = setting(fields.String(load_default=""), "What stands in front of each line.")
    wait: float = setting(fields.Float(load_default=0.0), "Seconds that pre_request takes.")
    fault: str = setting(fields.String(load_default=""), "The stage at which it is at fault.")
    how: str = setting(fields.String(load_default="raises"), "What it does wrong there; see `_FAULTS`.")
    responses: str = setting(
        fields.String(load_default=""), "The body with which pre_request answers itself."
    )
    reject: str = setting(fields.String(load_default=""), "The stage at which it rejects.")

    def _act(self, stage: str) -> Verdict:
        with Path(self.file).open("a") as out:
            out.write(f"{self.label}{stage}\n")
        if stage == self.fault:
            return _FAULTS[self.how]()
        if stage == self.reject:
            return Reject(422, "content_rejected", "The recorder rejects.")
        return CONTINUE

    def pre_request(self, exchange: Exchange) -> Verdict:
        time.sleep(self.wait)
        verdict = self._act("pre_request")
        return Respond(Response(200, Headers(), self.responses.encode())) if self.responses else verdict

    def post_request(self, exchange: Exchange) -> Verdict:
        return self._act("post_request")

    def pre_response(self, exchange: Exchange) -> Verdict:
        return self._act("pre_response")

    def post_response(self, exchange: Exchange) -> Verdict:
        return self._act("post_response")

    def response_headers(self, exchange: Exchange) -> Mapping[str, str]:
        return {"X-Recorder": "was here"}
