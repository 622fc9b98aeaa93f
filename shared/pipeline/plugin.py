"""The API of plugins: settings as class attributes, one method per stage, a verdict as the result.

    class MaxPrompt(Plugin):
        \"\"\"Reject prompts that are too long.\"\"\"

        reads = frozenset({"body"})
        max_bytes: int = setting(fields.Integer(load_default=1000), "Largest body, in bytes.")

        def pre_request(self, exchange: Exchange) -> Verdict:
            if len(exchange.request.body or b"") > self.max_bytes:
                return Reject(413, "body_too_large", "The prompt is too long.")
            return CONTINUE

A plugin takes values and returns a value. It never gets a flow, a socket or the store.
"""

import copy
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import cache, partial
from typing import Any, ClassVar, NamedTuple, Protocol, Self

import marshmallow
from marshmallow import fields

from shared.budgets.admission import BudgetAdmission
from shared.core.clock import Clock
from shared.core.empty import EMPTY
from shared.core.errors import Invalid, Problem, describe_error
from shared.core.fields import Strict, problems_of
from shared.core.sizes import JSON_PARTS
from shared.limits.distinct_values import DistinctValueTracker
from shared.limits.port import Limiter
from shared.limits.retry_queues import RetryQueues
from shared.model.config import Stage
from shared.model.event import Event
from shared.model.messages import Exchange, Response, SetHeaders
from shared.net.port import Fetch
from shared.pipeline.dry_run import ReadOnlyLimiter, ReadOnlyTracker


class NeedsWholeBody(NamedTuple):
    """Why an entry cannot judge events.

    `reason` is words that follow the name of the plugin, and `pointer` leads to the setting that causes it.
    `remedy` begins a sentence that says what to change there.
    """

    reason: str
    pointer: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Continue:
    """Continue. The plugin's later methods in the same exchange get its `notes`."""

    notes: Mapping[str, object] = field(default_factory=lambda: EMPTY)


@dataclass(frozen=True, slots=True)
class Reject:
    """Reject: the client gets an error.

    Attributes:
        status: the status, from 400 to 599.
        code: a short name of the error.
        message: a full sentence for the client.
        headers: headers of the response.
        details: further members of the error body, beside ``error``.
        notes: as in `Continue`.
    """

    status: int
    code: str
    message: str
    headers: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    details: Mapping[str, object] = field(default_factory=lambda: EMPTY)
    notes: Mapping[str, object] = field(default_factory=lambda: EMPTY)


@dataclass(frozen=True, slots=True)
class Respond:
    """Respond without the upstream. All later stages still run."""

    response: Response
    notes: Mapping[str, object] = field(default_factory=lambda: EMPTY)


@dataclass(frozen=True, slots=True)
class Patch:
    """Change the message of this direction: the request, or after forwarding the response.

    Attributes:
        set_headers: headers to set; each replaces all of that name.
        remove_headers: names of headers to remove.
        body: the new body; None keeps the body.
        status: the new status of a response; None keeps the status.
        notes: as in `Continue`.
    """

    set_headers: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    remove_headers: Sequence[str] = ()
    body: bytes | None = None
    status: int | None = None
    notes: Mapping[str, object] = field(default_factory=lambda: EMPTY)

    def applied_to(self, exchange: Exchange, stage: Stage) -> Exchange:
        """The exchange after the patch: of the request before forwarding, of the response after it."""
        if stage is Stage.PRE_REQUEST:
            request = exchange.request
            headers = request.headers.patched(self.set_headers, self.remove_headers)
            body = request.body if self.body is None else self.body
            return exchange.with_request(request._replace(headers=headers, body=body))
        response = exchange.response or Response(200)
        status = response.status if self.status is None else self.status
        headers = response.headers.patched(self.set_headers, self.remove_headers)
        body = response.body if self.body is None else self.body
        return exchange.with_response(Response(status, headers, body))


Verdict = Continue | Reject | Respond | Patch
CONTINUE = Continue()


class EventJudge(Protocol):
    """Judges one streamed response, event by event. Both methods may be coroutines.

    The judge returns each event once and in order: at once or later, as it is or changed
    (`Event.with_data`; an event with an empty `raw` is not sent). Until then the client does not get the
    event. A `Reject` ends the stream; the events not returned by then are never sent.
    """

    def feed(self, event: Event) -> Any:
        """The events that may be sent now (a list, often empty), or a `Reject`."""
        ...

    def end(self) -> Any:
        """The same at the end of the response: all events not returned yet."""
        ...


@dataclass(frozen=True, slots=True)
class Tools:
    """Services for plugins. Each plugin gets them once, before its first exchange.

    Attributes:
        limiter: counts requests.
        fetch: calls outside services.
        clock: the clock.
        distinct_values: bounds the counters for values that clients choose, in this process.
        retry_queues: the waits that rejected clients were told, in this process.
        json_parts: the most parts that a JSON document may have (`shared.bodies.json.parse.JsonBounds`).
        redis_time: the time of Redis, as far as it is known; None: that of `clock` takes its place.
    """

    limiter: Limiter
    fetch: Fetch
    clock: Clock
    _: KW_ONLY
    distinct_values: DistinctValueTracker = field(default_factory=DistinctValueTracker)
    retry_queues: RetryQueues = field(default_factory=RetryQueues)
    json_parts: int = JSON_PARTS
    redis_time: Callable[[], float] | None = None

    def owned_by(self, tenant_id: str) -> "Tools":
        """The same tools for a tenant: its calls of services share no connection with those of others."""
        return replace(self, fetch=partial(self.fetch, owner=tenant_id))

    def dry(self) -> "Tools":
        """The same tools without effects: limits are read, and not charged."""
        return replace(
            self,
            limiter=ReadOnlyLimiter(self.limiter),
            distinct_values=ReadOnlyTracker(self.distinct_values),
            retry_queues=RetryQueues(),
        )


class _Setting:
    """A class attribute that declares a setting. Instances of the plugin hold its value."""

    def __init__(self, schema_field: fields.Field[Any], text: str, secret: bool) -> None:
        schema_field.metadata = {**schema_field.metadata, "description": text}
        self.field = schema_field
        self.secret = secret


def setting(schema_field: fields.Field[Any], text: str, *, secret: bool = False) -> Any:
    """Declare a setting once: its marshmallow field with validation and default, and its help text.

    A `secret` setting is a map of names to strings. Its values are stored encrypted and never returned.
    """
    return _Setting(schema_field, text, secret)


@cache
def _loader(schema: type[marshmallow.Schema]) -> marshmallow.Schema:
    """The instance of a schema: to make one takes longer than to use it."""
    return schema()


class Plugin:
    """The base class of plugins. A plugin has the name of its file.

    An entry at `pre_response` that uses bodies also gets streamed responses. If the plugin has a method
    ``pre_response_events(exchange)``, these are judged event by event. It gets the head of the response, and
    returns an `EventJudge`, a `Reject`, or `CONTINUE` when there is nothing to judge.

    Attributes:
        default_stage: the stage of an entry without one.
        default_on_error: the `on_error` of an entry without one.
        on_error_choices: the allowed values of `on_error`.
        default_timeout: the timeout of an entry without one, in seconds.
        reads: what its methods read, of ``headers`` and ``body``. An instance may narrow it.
        changes: what its patches change, of ``headers``, ``body`` and ``status``.
        blocking: True runs its ``def`` methods in a thread. False runs them in place, on the event loop: they
            only compute, in microseconds. An instance may narrow it, `is_quick` a single call.
        own_task: each call of its coroutine methods has a task of its own. False: it runs in the task of the
            exchange. So it must end soon after a cancellation, and must cancel no task.
        computes: in a thread it computes rather than waits. Few such calls run at a time, one per tenant.
        events_in_place: its stream judges only compute, in microseconds for some KiB, and run in place.
        merges_entries: all its entries in a plan become one step, by `merge`.
        adds_headers: `response_headers` may return some. An instance may narrow it.
        has_cleanup: `cleanup` has something to release. An instance may narrow it.
        reads_response: `response_headers` and `cleanup` read the response; without it they may get none.
        weight: the time to compile an instance, in instructions of RE2 (about 0.5 us each).
        example: settings that show what it does, as JSON. Without them, the required ones are shown.
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
    own_task: ClassVar[bool] = True
    computes: bool = False
    events_in_place: bool = False
    merges_entries: ClassVar[bool] = False
    adds_headers: bool = True
    has_cleanup: bool = True
    reads_response: ClassVar[bool] = True
    weight: int = 0
    example: ClassVar[Mapping[str, Any]] = EMPTY

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.name = cls.__dict__.get("name", cls.__module__.rpartition(".")[2])
        declared = {
            k: v for c in reversed(cls.__mro__) for k, v in vars(c).items() if isinstance(v, _Setting)
        }
        cls.schema = Strict.from_dict(
            {name: copy.deepcopy(s.field) for name, s in declared.items()}, name=f"{cls.__name__}Settings"
        )
        cls.secrets = frozenset(name for name, s in declared.items() if s.secret)

    @classmethod
    def parse(cls, settings: Mapping[str, Any]) -> Self:
        """An instance with the validated settings as attributes. A setting without a default may be None.

        Raises `Invalid` with a pointer, relative to `settings`, for each wrong setting. Any other exception
        of the plugin becomes an `Invalid`, too.
        """
        try:
            return cls._parsed(settings)
        except Invalid:
            raise
        except (Exception, SystemExit) as error:  # the boundary for faults of the plugin
            reason = f"{cls.name} cannot work with these settings ({describe_error(error)})."
            raise Invalid([Problem("", reason)]) from error

    @classmethod
    def _parsed(cls, settings: Mapping[str, Any]) -> Self:
        try:
            values = _loader(cls.schema).load(settings)
        except marshmallow.ValidationError as error:
            raise Invalid(problems_of(error.messages)) from None
        plugin = cls()
        for name, value in {**dict.fromkeys(_loader(cls.schema).fields), **values}.items():
            setattr(plugin, name, value)
        plugin.prepare()
        return plugin

    def prepare(self) -> None:
        """Compile the settings once, such as patterns and schemas. Raises `Invalid`."""

    def start(self, tools: Tools) -> None:
        """Keep the tools that are needed. Called once in each worker, before the first exchange."""

    def needs_whole_body(self) -> NeedsWholeBody | None:
        """Why the entry cannot judge events; None when it can."""
        if hasattr(self, "pre_response_events"):
            return None
        return NeedsWholeBody("needs the whole body of a response")

    def warnings(self) -> Sequence[Problem]:
        """Warnings about the settings, with pointers into them. They do not stop the save."""
        return ()

    def is_quick(self, exchange: Exchange) -> bool:
        """Whether this one call takes microseconds only, and so runs in place instead of in a thread.

        Called before each call of a stage method that would run in a thread. Must not block.
        """
        return False

    def response_headers(self, exchange: Exchange) -> Mapping[str, str] | SetHeaders:
        """Headers to set on the response, for every exchange in which the entry ran, also if rejected.

        Must not block.
        """
        return EMPTY

    def cleanup(self, exchange: Exchange) -> Awaitable[None] | None:
        """Release what the entry acquired. Called once after the last byte, if the entry ran.

        An ``async def``, or a ``def`` that is called in place. That must not block; it returns what has to be
        awaited, or None.
        """
        return None

    @classmethod
    def merge(cls, entries: "Sequence[ResolvedEntry]") -> "Plugin":
        """One plugin for all `entries` of a plan, in the order of the plan (`merges_entries` only)."""
        raise TypeError(f"The plugin {cls.name} does not merge its entries.")

    @classmethod
    def method(cls, stage: Stage) -> Callable[..., Any] | None:
        """The method for `stage`; None without one."""
        return getattr(cls, stage.value, None)

    @classmethod
    def stages(cls) -> tuple[Stage, ...]:
        """The stages at which this plugin can run."""
        return tuple(stage for stage in Stage if cls.method(stage) is not None)


#: Begins the admission of a request by the budgets of its rule: of the request, the id of its row, and the
#: time of Redis. None: no budget counts it.
BeginAdmission = Callable[[Exchange, str, float], BudgetAdmission | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedEntry:
    """An enabled entry of a chain with its parsed plugin.

    Attributes:
        plugin: the parsed plugin.
        stage: where it acts.
        priority: the lowest runs first.
        parallel: it runs together with the other parallel entries of its priority.
        on_error: what happens when the plugin fails.
        timeout: the longest that a call may take, in seconds.
        origin: ``tier``, ``required``, ``tenant`` or ``rule``.
        tenant_id: the tenant, to which its counters belong.
        rule_id: the rule, to which its counters belong.
        is_shadow: it never acts; what it would do is noted.
        serves_models: its rule is one for AI, so that requests use tokens and money.
        begin_admission: begins the admission of a request by budgets; None: the entry has no budgets.
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
    serves_models: bool = True
    begin_admission: BeginAdmission | None = None


__all__ = [
    "CONTINUE",
    "Continue",
    "ResolvedEntry",
    "Event",
    "EventJudge",
    "Exchange",
    "NeedsWholeBody",
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
