"""Plugins by name, for chains to name: what they read and change is in their names."""

from collections.abc import Mapping, Sequence
from typing import Any

from marshmallow import fields

from shared.core.errors import Problem
from shared.model.config import PluginConfig, Rule, Stage, Tenant
from shared.model.messages import Exchange
from shared.pipeline.chain import ChainEntry
from shared.pipeline.plugin import CONTINUE, NeedsWholeBody, Plugin, Verdict, setting


class Reader(Plugin):
    """Reads all, changes nothing, and acts everywhere."""

    name = "reader"

    def pre_request(self, exchange: Exchange) -> Verdict:
        return CONTINUE

    post_request = pre_response = post_response = pre_request


class HeadReader(Reader):
    """Reads the headers."""

    name = "head_reader"
    reads = frozenset({"headers"})

    def warnings(self) -> Sequence[Problem]:
        return [Problem("/x", "Hm.")] if self.name == "head_reader" else super().warnings()


class HeadWriter(HeadReader):
    """Changes the headers, and reads nothing."""

    name = "head_writer"
    reads = frozenset()
    changes = frozenset({"headers"})


class Heavy(HeadReader):
    """Weighs as much as it is told to."""

    name = "heavy"
    weight: int = setting(fields.Integer(load_default=60_000), "Instructions.")


class BodyWriter(HeadWriter):
    """Changes the body, and reads nothing."""

    name = "body_writer"
    changes = frozenset({"body"})


class Counting(HeadReader):
    """Keeps state. Acts at one stage, and has an `on_error` of its own."""

    name = "counting"
    merges_entries = True
    on_error_choices = ("closed", "local")
    post_request = pre_response = post_response = None  # type: ignore[assignment]


class Asking(HeadReader):
    """Has settings, one of them a secret."""

    name = "asking"
    limit: int = setting(fields.Integer(required=True, strict=True), "A number.")
    headers: Mapping[str, str] = setting(
        fields.Dict(fields.String(), fields.String(), load_default=dict), "Secret.", secret=True
    )


class Streaming(Reader):
    """Judges events, but for an entry that says otherwise."""

    name = "streaming"
    events_in_place = True
    whole: bool = setting(fields.Boolean(load_default=False), "Whether it needs whole bodies.")

    def needs_whole_body(self) -> NeedsWholeBody | None:
        if not self.whole:
            return super().needs_whole_body()
        return NeedsWholeBody("has a setting that needs it", "/whole", "Set whole to false")

    def pre_response_events(self, exchange: Exchange) -> Verdict:
        return CONTINUE


CATALOGUE: Mapping[str, type[Plugin]] = {
    kind.name: kind
    for kind in (Reader, Heavy, HeadReader, HeadWriter, BodyWriter, Counting, Asking, Streaming)
}


def config(name: str, stage: Stage = Stage.PRE_REQUEST, **more: object) -> PluginConfig:
    return PluginConfig(name, stage=stage, **more)  # type: ignore[arg-type]


TENANT = Tenant("t1", "T", "t1")
RULE = Rule("r1", "/v1", "http://upstream.example")


def placed(name: str, origin: str = "rule", stage: Stage = Stage.PRE_REQUEST, **more: Any) -> ChainEntry:
    return ChainEntry(config(name, stage, **more), origin, "/plugin_chain/0")
