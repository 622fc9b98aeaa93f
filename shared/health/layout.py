"""The health of targets and keys in Redis: names, values, and the arguments of the script that writes them.

health:{<owner>}             hash  reports (report.py), and the figures of workers: ``beat:<worker>:<target>``
health:{<owner>}:failures    list  the last failures, the newest first, as JSON
health:{<owner>}:look:<key>  string  a worker looks whether a failure is everybody's; expires

The owner is the id of a provider, or that of a tenant for targets without a provider. All expire a day after
the last write. Nothing here is needed to serve: without Redis, each worker knows what it has seen itself.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import orjson

from shared.bodies.json.lenient import json_or_none
from shared.core.durations import HOUR_SECONDS
from shared.health.report import CLOSED, MAX_SECONDS, OPERATOR, Report
from shared.redis_client.script import Script

logger = logging.getLogger(__name__)

#: The channel on which workers tell each other about targets and keys that fail.
HEALTH_CHANNEL: Final = "health"
#: Writes reports and figures.
NOTE: Final = Script.of(Path(__file__).parent / "lua" / "note.lua")
#: A target was used if a worker had calls of it within this time, in seconds.
USED_SECONDS: Final = HOUR_SECONDS

_BEAT: Final = "beat:"


class Note(NamedTuple):
    """The keys and arguments of one call of `NOTE`."""

    keys: tuple[str, str]
    arguments: Sequence[str | int]


class Failure(NamedTuple):
    """A failure of a target or of a key. `at` is in seconds since the Unix epoch."""

    at: float
    target: str
    key: str
    why: str

    @classmethod
    def parse(cls, text: bytes) -> Self | None:
        """The failure in an item of the list; None if that is damaged."""
        parts = json_or_none(text)
        is_whole = isinstance(parts, list) and [type(one) for one in parts] == [float, str, str, str]
        return cls(*parts) if is_whole else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """The figures of one worker about a target that it has called.

    Attributes:
        at: when it was said, in seconds since the Unix epoch.
        in_flight: its calls under way.
        latency: its estimate of the seconds to the first content; None before the first.
    """

    worker: str
    target: str
    at: float
    in_flight: int
    latency: float | None

    @property
    def pair(self) -> tuple[str, str]:
        """The field and its value."""
        latency = "-" if self.latency is None else round(self.latency * 1000)
        kept = round((self.at + USED_SECONDS) * 1000)
        return (
            f"{_BEAT}{self.worker}:{self.target}",
            f"{kept} {round(self.at * 1000)} {self.in_flight} {latency}",
        )

    @classmethod
    def parse(cls, name: str, value: str) -> Self:
        """The figures of a field. Raises ValueError on one of another form."""
        worker, _, target = name.removeprefix(_BEAT).partition(":")
        _, at, in_flight, latency = value.split(" ")
        return cls(
            worker=worker,
            target=target,
            at=int(at) / 1000,
            in_flight=int(in_flight),
            latency=None if latency == "-" else int(latency) / 1000,
        )


@dataclass(frozen=True, slots=True)
class StoredHealth:
    """The stored health of one owner: reports in the order in which they were made, figures, failures.

    Reports that were taken back are left out. So is what took them back: a worker that reads it later must
    not close what has failed since.
    """

    reports: Sequence[Report] = ()
    beats: Sequence[Beat] = ()
    failures: Sequence[Failure] = field(default=())

    @classmethod
    def parse(
        cls, owner: str, fields: Mapping[bytes, bytes] | Sequence[bytes], failures: Iterable[bytes] = ()
    ) -> Self:
        """The parsed replies of Redis. Damaged ones are left out: it is only a hint."""
        pairs = fields if isinstance(fields, Mapping) else dict(zip(fields[::2], fields[1::2], strict=True))
        reports, beats = [], []
        for raw_name, raw_value in pairs.items():
            name, value = raw_name.decode(errors="replace"), raw_value.decode(errors="replace")
            try:
                if name.startswith(_BEAT):
                    beats.append(Beat.parse(name, value))
                else:
                    reports.append(Report.parse(owner, name, value))
            except ValueError as error:
                logger.debug("A field of %s is ignored: %s", hash_key(owner), error)
        closed = [one for one in reports if one.cause == CLOSED]
        kept = [
            one for one in reports if one.cause != CLOSED and not any(one.is_undone_by(two) for two in closed)
        ]
        kept.sort(key=lambda one: one.at)
        return cls(kept, beats, [one for text in failures if (one := Failure.parse(text)) is not None])


def hash_key(owner: str) -> str:
    return f"health:{{{owner}}}"


def failures_key(owner: str) -> str:
    return f"{hash_key(owner)}:failures"


def look_key(owner: str, key: str) -> str:
    return f"{hash_key(owner)}:look:{key}"


def note_of(report: Report, worker: str, *, is_news: bool = True) -> Note:
    """The call that tells all workers, and stores it. `worker` is the name of the process that tells it.

    A failure that is not news is not listed again.
    """
    pair = report.field, report.value
    failure = ""
    if is_news and report.provider and report.cause not in (CLOSED, OPERATOR) and not report.is_shared:
        seen = Failure(float(report.at), report.target, report.key, report.reason)
        failure = orjson.dumps([*seen]).decode()
    message = orjson.dumps([worker, report.owner, *pair]).decode()
    return _note(report.owner, [HEALTH_CHANNEL, message, failure, round(report.at * 1000)], pair)


def note_of_beats(owner: str, beats: Iterable[Beat], now: float) -> Note:
    """The call that stores the figures of a worker."""
    return _note(owner, ["", "", "", round(now * 1000)], [part for beat in beats for part in beat.pair])


def _note(owner: str, head: list[str | int], pairs: Sequence[str]) -> Note:
    keys = hash_key(owner), failures_key(owner)
    return Note(keys, [*head, round(MAX_SECONDS * 1000), *pairs])


def parse_message(message: bytes) -> tuple[str, Report]:
    """The worker that told something, and what. Raises ValueError on another form."""
    parts: Any = orjson.loads(message)
    if not isinstance(parts, list) or len(parts) != 4 or not all(isinstance(one, str) for one in parts):
        raise ValueError("it is not a list of four texts")
    worker, owner, name, value = parts
    return worker, Report.parse(owner, name, value)
