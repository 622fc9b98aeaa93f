"""Limits in a compiled plan, complete except for the values of a request, and warnings about them."""

import base64
import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import KW_ONLY, dataclass, replace

from shared.core.addresses import client_network
from shared.core.durations import format_duration
from shared.core.globs import matches_glob
from shared.core.memo import Memo
from shared.limits.values import (
    CLOSED,
    CONCURRENT,
    EVERY,
    LOCAL,
    OPEN,
    WINDOW,
    Limit,
    LimitMatch,
    LimitSpec,
    label_of,
)
from shared.model.budgets import METERED, REQUESTS
from shared.model.messages import Exchange

_STRICTEST_ON_ERROR = (CLOSED, LOCAL, OPEN)
_STRICTEST_ON_MISSING = ("deny", "shared", "skip")

# The format of stored counters, a part of their keys: counters of an older format are never read.
_LAYOUT = 2


@dataclass(frozen=True, slots=True)
class CompiledLimit:
    """A limit whose counter depends on the request: one for each value of what `spec` counts by.

    Attributes:
        key_prefix: the beginning of the keys. Two limits with the same one count the same thing.
        scope: ``rule`` or ``gateway``.
        window: the window as text; empty for a concurrent limit.
        floor_ms: the shortest wait that a rejected client is given.
        label: the name in headers.
    """

    key_prefix: str
    spec: LimitSpec
    scope: str
    window: str
    _: KW_ONLY
    cost: int = 1
    floor_ms: int = 0
    on_error: str = LOCAL
    match: LimitMatch = EVERY
    label: str = ""

    @property
    def is_unconditional(self) -> bool:
        """True when it counts every request."""
        return self.match == EVERY and not self.spec.glob and self.spec.on_missing != "skip"

    @property
    def is_plain(self) -> bool:
        """True when all requests share one window, and cost the same."""
        spec = self.spec
        return self.is_unconditional and not spec.by and spec.kind == WINDOW and not spec.is_metered

    def counts(self, exchange: Exchange, model: str) -> bool:
        """True when the limit counts this request. `model` is the one in its body."""
        if not self.match.takes(exchange.request):
            return False
        if self.spec.on_missing == "skip" and self.missing(exchange):
            return False
        return self.holds_for_model(model)

    def holds_for_model(self, model: str) -> bool:
        """False when the limit counts models and another glob is the most precise for `model`.

        Some providers take a model in any case, others tell two models by it. So the most precise glob for
        the name as it is written counts, and the one for the name in any case, too.
        """
        spec = self.spec
        if not spec.glob or spec.glob == next((g for g in spec.globs if matches_glob(g, model)), None):
            return True
        name, own = model.casefold(), spec.glob.casefold()
        return own == next((g for glob in spec.globs if matches_glob(g := glob.casefold(), name)), None)

    def first_model(self, models: Sequence[str]) -> str | None:
        """The first of the names of a request's model that the limit counts; None when it counts none."""
        if not self.spec.glob:
            return models[0]
        return next((model for model in models if self.holds_for_model(model)), None)

    def missing(self, exchange: Exchange) -> str | None:
        """The header that the limit counts by and the request lacks."""
        for by in self.spec.by:
            if by.startswith("header:") and not value_of(by, exchange, ""):
                return by.removeprefix("header:")
        return None

    def value(self, exchange: Exchange, model: str) -> str:
        """A hash of the request's value: keys contain no addresses and no names."""
        if not self.spec.by:
            return EVERYTHING
        values = [value_of(by, exchange, model) for by in self.spec.by]
        # Lengths keep ("a", "bc") and ("ab", "c") apart.
        return _DIGESTS[values[0] if len(values) == 1 else "".join(f"{len(one)}:{one}" for one in values)]

    def limit(self, value: str, lease: str = "", cost: int | None = None) -> Limit:
        """The limit with the counter of `value`; a concurrent one with `lease`. `cost` replaces its own."""
        spec = self.spec
        concurrent = spec.kind == CONCURRENT
        return Limit(
            self.key_prefix + value,
            spec.quota,
            self.scope,
            spec.name,
            self.window,
            1 if concurrent else self.cost if cost is None else cost,
            spec.kind,
            lease if concurrent else "",
            self.on_error,
            self.label,
            0,
            spec.unit,
        )

    def strictest(self, other: "CompiledLimit") -> "CompiledLimit":
        """One limit for two that count the same thing."""
        tightest = min(self, other, key=lambda one: one.spec.quota.limit).spec
        missing = (self.spec.on_missing, other.spec.on_missing)
        return replace(
            self,
            spec=replace(tightest, on_missing=min(missing, key=_STRICTEST_ON_MISSING.index)),
            cost=max(self.cost, other.cost),
            floor_ms=max(self.floor_ms, other.floor_ms),
            on_error=min(self.on_error, other.on_error, key=_STRICTEST_ON_ERROR.index),
        )


def compile_limit(
    tenant_id: str,
    rule_id: str | None,
    spec: LimitSpec,
    *,
    cost: int = 1,
    floor_ms: int = 0,
    on_error: str = LOCAL,
    match: LimitMatch = EVERY,
) -> CompiledLimit:
    """A limit of the rule, or of the whole tenant when `rule_id` is None.

    The tenant's id is the hash tag of a Cluster, so that one node has all counters of a request. The key
    has no quota: a changed limit keeps its usage. The rule's id is hashed into the limit's id, because
    each identity pays for every byte of its key.
    """
    scope, holder = ("gateway", "g") if rule_id is None else ("rule", "r")
    dimension = _dimension(spec)
    limit_id = _digest(f"{_LAYOUT} {rule_id or ''} {_counted(spec, dimension)}{match.text}")
    key_prefix = f"rl:{{{tenant_id}}}:{holder}:{limit_id}:{dimension}:"
    window = "" if spec.kind == CONCURRENT else format_duration(spec.quota.window_ms)
    return CompiledLimit(
        key_prefix, spec, scope, window, cost=cost, floor_ms=floor_ms, on_error=on_error, match=match
    )


def merged(compiled_limits: Iterable[CompiledLimit]) -> tuple[CompiledLimit, ...]:
    """The rule's limits before the gateway's, each with its label. Of equal ones the strictest is kept."""
    found: dict[tuple[str, str, tuple[str, ...]], CompiledLimit] = {}
    for compiled in compiled_limits:
        # Which glob counts depends on the request, so limits of other globs stay apart.
        identity = compiled.key_prefix, compiled.spec.glob, compiled.spec.globs
        other = found.get(identity)
        found[identity] = other.strictest(compiled) if other else compiled
    named = Counter(_short_label(compiled) for compiled in found.values())
    labelled = [
        replace(compiled, label=_label(compiled, named[_short_label(compiled)]))
        for compiled in found.values()
    ]
    return tuple(sorted(labelled, key=lambda compiled: compiled.scope != "rule"))


def limit_warnings(
    compiled_limits: Sequence[CompiledLimit], known: Sequence[CompiledLimit] = ()
) -> list[str]:
    """A sentence for each limit that, with the others of its level, stops no client or all requests.

    Warnings about `known` limits are left out.
    """
    warnings: list[str] = []
    for compiled in compiled_limits:
        if compiled.spec.is_client_chosen and not any(_bounds(other, compiled) for other in compiled_limits):
            warnings.append(
                f"At the {compiled.scope} level nothing bounds {compiled.spec.name}: clients choose its "
                "values, and each value has a counter of its own. Add global, per_ip or per_key."
            )
        number, is_counted = compiled.spec.quota.limit, compiled.spec.unit == REQUESTS
        if is_counted and compiled.spec.kind == WINDOW and 0 < number < compiled.cost:
            warnings.append(
                f"The {compiled.scope} limit '{compiled.spec.name}' admits nothing: each request counts "
                f"as {compiled.cost}, which is more than {number}."
            )
    known_warnings = limit_warnings(known) if known else ()
    return [warning for warning in warnings if warning not in known_warnings]


def metered_warnings(compiled_limits: Iterable[CompiledLimit]) -> list[str]:
    """A sentence for each limit of a rule without models, if it counts what only models use."""
    return [
        f"The {one.scope} limit '{one.spec.name}' of {one.spec.unit} counts nothing on this rule: only rules "
        "for AI use tokens and money. Limit requests here."
        for one in compiled_limits
        if one.spec.is_metered
    ]


def _bounds(other: CompiledLimit, compiled: CompiledLimit) -> bool:
    """True when `other` counts every request that `compiled` counts, whatever its client sends."""
    same = (other.scope, other.spec.kind) == (compiled.scope, compiled.spec.kind)
    return same and not other.spec.is_client_chosen and other.match in (EVERY, compiled.match)


def _short_label(compiled: CompiledLimit) -> str:
    label, unit = label_of(compiled.scope, compiled.spec.name), compiled.spec.unit
    return f"{label}-{unit.replace('_', '-')}" if unit in METERED else label


def _label(compiled: CompiledLimit, namesakes: int) -> str:
    """The name in headers, with the window when several limits have the same name and unit."""
    label = _short_label(compiled)
    return f"{label}-{compiled.window}" if namesakes > 1 and compiled.window else label


def _dimension(spec: LimitSpec) -> str:
    if spec.kind == CONCURRENT:
        return "concurrent"
    return f"per_{spec.by[0].partition(':')[0]}" if spec.by else "global"


def _counted(spec: LimitSpec, dimension: str) -> str:
    """A text that is equal for limits that count the same: by what, the unit, the window."""
    if spec.kind == CONCURRENT:
        return f"{'+'.join(spec.by)} concurrent"
    header = spec.by[0].partition(":")[2] if spec.by else ""
    return f"{dimension}{header and f':{header}'} {spec.unit} {spec.quota.window_ms}"


def _digest(value: str) -> str:
    """64 bits in eleven characters."""
    digest = hashlib.blake2b(value.encode(), digest_size=8).digest()
    return base64.urlsafe_b64encode(digest)[:-1].decode()


_DIGESTS = Memo(_digest)
#: The value that all requests of a level share.
EVERYTHING = _digest("")


def value_of(by: str, exchange: Exchange, model: str) -> str:
    """The value of a request under `by`, as in `LimitSpec.by`; empty when the request has none.

    `model` is the one in the body. Each spelling of a path has the same value, and a model in each case.
    """
    kind, _, name = by.partition(":")
    match kind:
        case "ip":
            return client_network(exchange.client)
        case "key":
            return exchange.key.id if exchange.key else ""
        case "method":
            return exchange.request.method
        case "path":
            return exchange.request.path.rstrip("/") or "/"
        case "model":
            return model.casefold()
        case "header":
            values = (value.strip() for value in exchange.request.headers.all(name))
            return ", ".join(value for value in values if value)
    raise ValueError(f"Limits cannot count by {by}.")
