"""Says on the answer, and in a file, at which stages it acted and in which order."""

import time
from collections.abc import Mapping
from pathlib import Path

from marshmallow import fields

from shared.core.plugin import CONTINUE, Exchange, Plugin, Reject, Verdict, setting


class Recorder(Plugin):
    """Records.

    >>> Recorder.parse({"file": "x"}).file
    'x'
    """

    reads = frozenset({"headers"})
    file: str = setting(fields.String(required=True), "Where to write what happens.")
    label: str = setting(fields.String(load_default=""), "What stands in front of each line.")
    wait: float = setting(fields.Float(load_default=0.0), "Seconds that pre_request takes.")
    fault: str = setting(fields.String(load_default=""), "The stage at which it raises.")
    reject: str = setting(fields.String(load_default=""), "The stage at which it rejects.")

    def _act(self, stage: str) -> Verdict:
        with Path(self.file).open("a") as out:
            out.write(f"{self.label}{stage}\n")
        if stage == self.fault:
            raise RuntimeError("a fault of the plugin")
        if stage == self.reject:
            return Reject(422, "content_rejected", "The recorder rejects.")
        return CONTINUE

    def pre_request(self, exchange: Exchange) -> Verdict:
        time.sleep(self.wait)
        return self._act("pre_request")

    def post_request(self, exchange: Exchange) -> Verdict:
        return self._act("post_request")

    def pre_response(self, exchange: Exchange) -> Verdict:
        return self._act("pre_response")

    def post_response(self, exchange: Exchange) -> Verdict:
        return self._act("post_response")

    def answer_headers(self, exchange: Exchange) -> Mapping[str, str]:
        return {"X-Recorder": "was here"}
