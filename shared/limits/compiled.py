"""Limits as a compiled plan holds them: everything but the values that one request brings."""

import base64
import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from shared.core.durations import format_duration
from shared.core.globs import matches_glob
from shared.core.memo import Memo
from shared.limits.counted_by import value_of
from shared.limits.match import EVERY, LimitMatch
from shared.limits.values import CLOSED, CONCURRENT, LOCAL, OPEN, WINDOW, Limit, label_of
from shared.limits.written import LimitSpec
from shared.model.messages import Exchange

_STRICTEST_ON_ERROR = (CLOSED, LOCAL, OPEN)
_STRICTEST_ON_MISSING = ("deny", "shared", "skip")

# How stores keep counters. Those that were kept in another way have other names, and nobody reads them.
_LAYOUT = 2


@dataclass(frozen=True, slots=True)
class CompiledLimit:
    """A limit whose counter is chosen by the request: one for each value of what `spec` counts by.

    `key_prefix` says which counters; two templates with the same one count the same thing. `floor_ms` is
    the shortest wait that a refused client is told. All else is that of `Limit`.
    """

    key_prefix: str
    spec: LimitSpec
    scope: str
    window: str
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
        """True when it counts every request, all in one window."""
        return self.is_unconditional and not self.spec.by and self.spec.kind == WINDOW

    def counts(self, exchange: Exchange, model: str) -> bool:
        """True when the limit holds for this request. `model` is the one that its body names."""
        if not self.match.takes(exchange.request):
            return False
        if self.spec.on_missing == "skip" and self.missing(exchange):
            return False
        return self.holds_for_model(model)

    def holds_for_model(self, model: str) -> bool:
        """True unless the limit is one of models, and another glob is the most precise for `model`."""
        spec = self.spec
        return not spec.glob or spec.glob == _first(spec.globs, model)

    def missing(self, exchange: Exchange) -> str | None:
        """The header that the limit counts by and the request does not have."""
        for by in self.spec.by:
            if by.startswith("header:") and not value_of(by, exchange, ""):
                return by.removeprefix("header:")
        return None

    def value(self, exchange: Exchange, model: str) -> str:
        """A hash of what the request counts as: no address and no name stands in a key."""
        if not self.spec.by:
            return EVERYTHING
        values = [value_of(by, exchange, model) for by in self.spec.by]
        # Lengths keep ("a", "bc") and ("ab", "c") apart.
        return _DIGESTS[values[0] if len(values) == 1 else "".join(f"{len(one)}:{one}" for one in values)]

    def limit(self, value: str, lease: str = "") -> Limit:
        """The limit with the counter of `value`. `lease` is taken when it is a concurrent one."""
        spec = self.spec
        concurrent = spec.kind == CONCURRENT
        return Limit(
            self.key_prefix + value,
            spec.quota,
            self.scope,
            spec.name,
            self.window,
            1 if concurrent else self.cost,
            spec.kind,
            lease if concurrent else "",
            self.on_error,
            self.label,
        )

    def strictest(self, other: "CompiledLimit") -> "CompiledLimit":
        """One limit in the place of two that count the same thing."""
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

    The tenant's id is the Cluster's hash tag, so that all counters of a request are on one node. The
    number is not in the key: who edits it keeps what was used. The rule's id is in `limit_id`, because
    every byte of a key is paid for by each identity.
    """
    scope, holder = ("gateway", "g") if rule_id is None else ("rule", "r")
    dimension = _dimension(spec)
    limit_id = _digest(f"{_LAYOUT} {rule_id or ''} {_counted(spec, dimension)}{match.text}")
    key_prefix = f"rl:{{{tenant_id}}}:{holder}:{limit_id}:{dimension}:"
    window = "" if spec.kind == CONCURRENT else format_duration(spec.quota.window_ms)
    return CompiledLimit(key_prefix, spec, scope, window, cost, floor_ms, on_error, match)


def merged(compiled_limits: Iterable[CompiledLimit]) -> tuple[CompiledLimit, ...]:
    """The rule's limits before the gateway's, each with a label of its own.

    Those that always count the same are one, the strictest.
    """
    found: dict[tuple[str, str, tuple[str, ...]], CompiledLimit] = {}
    for compiled in compiled_limits:
        # Which glob counts is known only when the request is there.
        place = compiled.key_prefix, compiled.spec.glob, compiled.spec.globs
        other = found.get(place)
        found[place] = other.strictest(compiled) if other else compiled
    named = Counter((compiled.scope, compiled.spec.name) for compiled in found.values())
    labelled = [
        replace(compiled, label=_label(compiled, named[compiled.scope, compiled.spec.name]))
        for compiled in found.values()
    ]
    return tuple(sorted(labelled, key=lambda compiled: compiled.scope != "rule"))


def _label(compiled: CompiledLimit, namesakes: int) -> str:
    """Of several with one name, each has its window behind it."""
    label = label_of(compiled.scope, compiled.spec.name)
    return f"{label}-{compiled.window}" if namesakes > 1 and compiled.window else label


def _dimension(spec: LimitSpec) -> str:
    if spec.kind == CONCURRENT:
        return "concurrent"
    return f"per_{spec.by[0].partition(':')[0]}" if spec.by else "global"


def _counted(spec: LimitSpec, dimension: str) -> str:
    """The same for limits that count the same: what it counts by, the unit, the window."""
    if spec.kind == CONCURRENT:
        return f"{'+'.join(spec.by)} concurrent"
    header = spec.by[0].partition(":")[2] if spec.by else ""
    return f"{dimension}{header and f':{header}'} requests {spec.quota.window_ms}"


def _first(globs: Sequence[str], text: str) -> str | None:
    return next((glob for glob in globs if matches_glob(glob, text)), None)


def _digest(value: str) -> str:
    """64 bits in eleven characters."""
    digest = hashlib.blake2b(value.encode(), digest_size=8).digest()
    return base64.urlsafe_b64encode(digest)[:-1].decode()


_DIGESTS = Memo(_digest)
#: What all requests of a level together count as.
EVERYTHING = _digest("")
