"""What a plugin is: settings as class attributes, one method a stage, a verdict as the answer.

    class MaxPrompt(Plugin):
        \"\"\"Refuses prompts that are too long.\"\"\"

        reads = frozenset({"body"})
        max_bytes: int = setting(fields.Integer(load_default=1000), "Largest body, in bytes.")

        def pre_request(self, exchange: Exchange) -> Verdict:
            if len(exchange.request.body or b"") > self.max_bytes:
                return Reject(413, "body_too_large", "The prompt is too long.")
            return CONTINUE

A plugin takes values and returns a value. It never sees a flow, a socket or the store.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol, Self

import marshmallow
from marshmallow import fields

from shared.core.clock import Clock
from shared.core.empty import EMPTY
from shared.core.errors import Invalid, Problem, describe_error
from shared.core.problems import problems_of
from shared.core.sizes import JSON_PARTS
from shared.limits.distinct_values import DistinctValueTracker
from shared.limits.port import Limiter
from shared.model.config import Stage
from shared.model.event import Event
from shared.model.messages import Exchange, Response
from shared.net.port import Fetch
from shared.pipeline.dry_run import ReadOnlyLimiter, ReadOnlyTracker


@dataclass(frozen=True, slots=True)
class Continue:
    """Go on. `notes` are handed to this plugin's later stages of the same exchange."""

    notes: Mapping[str, object] = field(default_factory=lambda: EMPTY)


@dataclass(frozen=True, slots=True)
class Reject:
    """Refuse: the client gets `status` with an error body of `code` and `message` (a full sentence).

    `details` are further members of the error body beside ``error``; `notes` as in `Continue`.
    """

    status: int
    code: str
    message: str
    headers: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    details: Mapping[str, object] = field(default_factory=lambda: EMPTY)
    notes: Mapping[str, object] = field(default_factory=lambda: EMPTY)


@dataclass(frozen=True, slots=True)
class Respond:
    """Answer successfully without the upstream. All later stages still run."""

    response: Response
    notes: Mapping[str, object] = field(default_factory=lambda: EMPTY)


@dataclass(frozen=True, slots=True)
class Patch:
    """Change the message of this direction: the request before forwarding, the answer after it."""

    set_headers: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    remove_headers: Sequence[str] = ()
    body: bytes | None = None
    status: int | None = None
    notes: Mapping[str, object] = field(default_factory=lambda: EMPTY)


Verdict = Continue | Reject | Respond | Patch
CONTINUE = Continue()


class EventJudge(Protocol):
    """Judges one streamed answer, event by event. Both methods may be coroutines.

    Every event that is fed is given back in its order, at once or later, as it is or changed
    (`Event.with_data`; with an empty `raw` nothing of it is sent). What is not given back yet is held back
    from the client. A `Reject` ends the stream: what is held back is never sent.
    """

    def feed(self, event: Event) -> Any:
        """The events that may go out now (a list, often empty), or a `Reject`."""
        ...

    def end(self) -> Any:
        """The same when the answer is over: all events that are still held back."""
        ...


@dataclass(frozen=True, slots=True)
class Tools:
    """What a running plugin may use of the world. Given once, before its first exchange.

    `distinct_values` bounds, over all rules of this process, what clients can be told apart by; `json_parts`
    bounds the JSON that a plugin reads (`shared.bodies.json.parse.JsonBounds`).
    """

    limiter: Limiter
    fetch: Fetch
    clock: Clock
    distinct_values: DistinctValueTracker = field(default_factory=DistinctValueTracker)
    json_parts: int = JSON_PARTS

    def dry(self) -> "Tools":
        """The same tools in hands that take nothing: limits are looked at, and not charged."""
        return replace(
            self, limiter=ReadOnlyLimiter(self.limiter), distinct_values=ReadOnlyTracker(self.distinct_values)
        )


class _Setting:
    """A class attribute that declares a setting; a plugin's instances hold its value."""

    def __init__(self, schema_field: fields.Field[Any], text: str, secret: bool) -> None:
        schema_field.metadata = {**schema_field.metadata, "description": text}
        self.field = schema_field
        self.secret = secret


def setting(schema_field: fields.Field[Any], text: str, *, secret: bool = False) -> Any:
    """Declare a setting once: marshmallow type and validation, default, and help text.

    A `secret` setting is a map of names to strings. Its values are sealed when saved and never read back.
    """
    return _Setting(schema_field, text, secret)


class Plugin:
    """Base of all plugins. The name is that of the file (a module's last part).

    Class attributes tell the planner how to run it:

    - `default_stage`, `default_on_error`, `default_timeout` (seconds) fill an entry's gaps;
      `on_error_choices` are the values that an entry may have.
    - `reads`: of ``headers`` and ``body``, what its stage method looks at. An instance may narrow it.
    - `changes`: of ``headers``, ``body`` and ``status``, what its patches touch.
    - `blocking`: a ``def`` method may wait (default; runs in the thread pool) or is pure and takes
      microseconds (False; runs in place); an instance may narrow it, and `is_quick` a single call.
      ``async def`` methods run on the loop.
    - `computes`: what it does in a thread keeps the processor busy, rather than waits. Few such calls run at
      a time, and one of a tenant.
    - `events_in_place`: the judges that `pre_response_events` makes are pure and take microseconds for
      some KiB; they run on the loop. Otherwise they run as `blocking` says of methods.
    - `merges_entries`: all entries of this plugin in a plan become one step by `merge`.
    - `weight`: how long an instance takes to compile, in instructions of RE2's programs (some 0.5 us each).
      What a chain weighs together is bounded.
    - `has_cleanup`: its `cleanup` has something to give back; an instance may narrow it.

    An entry at `pre_response` that uses bodies meets streamed answers too. Where its plugin has a method
    ``pre_response_events(exchange)``, these are passed on event by event: the method gets the head of the
    answer, and returns an `EventJudge`, or `CONTINUE` when it has nothing to judge, or a `Reject`.
    """

    name: ClassVar[str]
    schema: ClassVar[type[marshmallow.Schema]]
    secrets: ClassVar[frozenset[str]]
    default_stage: ClassVar[Stage] = Stage.PRE_REQUEST
    default_on_error: ClassVar[str] = "closed"
    on_error_choices: ClassVar[tuple[str, ...]] = ("closed", "open")
    default_timeout: ClassVar[float] = 1.0
    reads: frozenset[str] = frozenset({"headers", "body"})
    changes: frozenset[str] = frozenset()
    blocking: bool = True
    computes: bool = False
    events_in_place: bool = False
    merges_entries: ClassVar[bool] = False
    has_cleanup: bool = True
    weight: int = 0

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.name = cls.__dict__.get("name", cls.__module__.rpartition(".")[2])
        declared = {
            k: v for c in reversed(cls.__mro__) for k, v in vars(c).items() if isinstance(v, _Setting)
        }
        cls.schema = marshmallow.Schema.from_dict(
            {name: copy.deepcopy(s.field) for name, s in declared.items()}, name=f"{cls.__name__}Settings"
        )
        cls.secrets = frozenset(name for name, s in declared.items() if s.secret)

    @classmethod
    def parse(cls, settings: Mapping[str, Any]) -> Self:
        """An instance whose attributes are the validated settings; one without a default may be None.

        Raises `Invalid` with a pointer for each wrong setting, relative to `settings`. Whatever else a
        plugin raises here says that it cannot work with them.
        """
        try:
            return cls._parsed(settings)
        except Invalid:
            raise
        except (Exception, SystemExit) as error:  # the boundary at which a plugin's own faults end
            reason = f"{cls.name} cannot work with these settings ({describe_error(error)})."
            raise Invalid([Problem("", reason)]) from error

    @classmethod
    def _parsed(cls, settings: Mapping[str, Any]) -> Self:
        try:
            values = cls.schema().load(settings)
        except marshmallow.ValidationError as error:
            raise Invalid(problems_of(error.messages)) from None
        plugin = cls()
        for name, value in {**dict.fromkeys(cls.schema().fields), **values}.items():
            setattr(plugin, name, value)
        plugin.prepare()
        return plugin

    def prepare(self) -> None:
        """Compile the settings once (patterns, schemas). Raises `Invalid`. Default: nothing to do."""

    def start(self, tools: Tools) -> None:
        """Keep what is needed of `tools`. Called once in each worker, before the first exchange."""

    def needs_whole_body(self) -> str | None:
        """Why this entry cannot judge event by event (words that follow its name); None when it can."""
        if hasattr(self, "pre_response_events"):
            return None
        return "needs the whole body of an answer"

    def is_quick(self, exchange: Exchange) -> bool:
        """Whether a blocking plugin will judge this one in microseconds, so that it runs in place.

        Asked before each call of a stage method that would run in a thread. Must not wait. Default: no.
        """
        return False

    def response_headers(self, exchange: Exchange) -> Mapping[str, str]:
        """Headers to set on the answer before its head leaves, for every exchange in which the entry ran.

        Refused ones too. Must not wait.
        """
        return EMPTY

    async def cleanup(self, exchange: Exchange) -> None:
        """Called once after the last byte, for every exchange in which the entry ran."""

    @classmethod
    def merge(cls, entries: "Sequence[ResolvedEntry]") -> "Plugin":
        """One plugin that acts for all `entries` of a plan, in the plan's order (`merges_entries` only)."""
        raise TypeError(f"The plugin {cls.name} does not combine its entries.")

    @classmethod
    def method(cls, stage: Stage) -> Callable[..., Any] | None:
        """The method for `stage`, None when the plugin has none."""
        return getattr(cls, stage.value, None)

    @classmethod
    def stages(cls) -> tuple[Stage, ...]:
        """The stages at which this plugin can stand."""
        return tuple(stage for stage in Stage if cls.method(stage) is not None)


@dataclass(frozen=True, slots=True)
class ResolvedEntry:
    """One enabled entry of a chain with its parsed plugin, as the planner sees it.

    `origin` is ``required``, ``tier``, ``tenant`` or ``rule``; `scope_id` names what a counter of it
    belongs to: the tenant's id, and the rule's id. An entry `is_shadow` that only says what it would do.
    """

    plugin: Plugin
    stage: Stage
    priority: int
    parallel: bool
    on_error: str
    timeout: float
    origin: str
    tenant_id: str
    rule_id: str
    is_shadow: bool = False


__all__ = [
    "CONTINUE",
    "Continue",
    "ResolvedEntry",
    "Event",
    "EventJudge",
    "Exchange",
    "Patch",
    "Plugin",
    "Reject",
    "Respond",
    "Stage",
    "Tools",
    "Verdict",
    "fields",
    "problems_of",
    "setting",
]
