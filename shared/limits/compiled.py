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
from shared.limits.written import WrittenLimit
from shared.model.messages import Exchange

_STRICTEST_ON_ERROR = (CLOSED, LOCAL, OPEN)
_STRICTEST_ON_MISSING = ("deny", "shared", "skip")

# How stores keep counters. Those that were kept in another way have other names, and nobody reads them.
_LAYOUT = 2


@dataclass(frozen=True, slots=True)
class LimitTemplate:
    """A limit whose counter is chosen by the request: one for each value of what `written` counts by.

    `key_prefix` says which counters; two templates with the same one count the same thing. `floor_ms` is
    the shortest wait that a refused client is told. All else is that of `Limit`.
    """

    key_prefix: str
    written: WrittenLimit
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
        return self.match == EVERY and not self.written.glob and self.written.on_missing != "skip"

    @property
    def is_plain(self) -> bool:
        """True when it counts every request, all in one window."""
        return self.is_unconditional and not self.written.by and self.written.kind == WINDOW

    def counts(self, exchange: Exchange, model: str) -> bool:
        """True when the limit holds for this request. `model` is the one that its body names."""
        if not self.match.takes(exchange.request):
            return False
        if self.written.on_missing == "skip" and self.missing(exchange):
            return False
        return self.holds_for_model(model)

    def holds_for_model(self, model: str) -> bool:
        """True unless the limit is one of models, and another glob is the most precise for `model`."""
        written = self.written
        return not written.glob or written.glob == _first(written.globs, model)

    def missing(self, exchange: Exchange) -> str | None:
        """The header that the limit counts by and the request does not have."""
        for by in self.written.by:
            if by.startswith("header:") and not value_of(by, exchange, ""):
                return by.removeprefix("header:")
        return None

    def value(self, exchange: Exchange, model: str) -> str:
        """A hash of what the request counts as: no address and no name stands in a key."""
        if not self.written.by:
            return EVERYTHING
        values = [value_of(by, exchange, model) for by in self.written.by]
        # Lengths keep ("a", "bc") and ("ab", "c") apart.
        return _DIGESTS[values[0] if len(values) == 1 else "".join(f"{len(one)}:{one}" for one in values)]

    def limit(self, value: str, lease: str = "") -> Limit:
        """The limit with the counter of `value`. `lease` is taken when it is a concurrent one."""
        written = self.written
        concurrent = written.kind == CONCURRENT
        return Limit(
            self.key_prefix + value,
            written.quota,
            self.scope,
            written.name,
            self.window,
            1 if concurrent else self.cost,
            written.kind,
            lease if concurrent else "",
            self.on_error,
            self.label,
        )

    def strictest(self, other: "LimitTemplate") -> "LimitTemplate":
        """One limit in the place of two that count the same thing."""
        tightest = min(self, other, key=lambda one: one.written.quota.limit).written
        missing = (self.written.on_missing, other.written.on_missing)
        return replace(
            self,
            written=replace(tightest, on_missing=min(missing, key=_STRICTEST_ON_MISSING.index)),
            cost=max(self.cost, other.cost),
            floor_ms=max(self.floor_ms, other.floor_ms),
            on_error=min(self.on_error, other.on_error, key=_STRICTEST_ON_ERROR.index),
        )


def limit_template(
    tenant_id: str,
    rule_id: str | None,
    written: WrittenLimit,
    *,
    cost: int = 1,
    floor_ms: int = 0,
    on_error: str = LOCAL,
    match: LimitMatch = EVERY,
) -> LimitTemplate:
    """A limit of the rule, or of the whole tenant when `rule_id` is None.

    The tenant's id is the Cluster's hash tag, so that all counters of a request are on one node. The
    number is not in the key: who edits it keeps what was used. The rule's id is in `limit_id`, because
    every byte of a key is paid for by each identity.
    """
    scope, holder = ("gateway", "g") if rule_id is None else ("rule", "r")
    dimension = _dimension(written)
    limit_id = _digest(f"{_LAYOUT} {rule_id or ''} {_counted(written, dimension)}{match.text}")
    key_prefix = f"rl:{{{tenant_id}}}:{holder}:{limit_id}:{dimension}:"
    window = "" if written.kind == CONCURRENT else format_duration(written.quota.window_ms)
    return LimitTemplate(key_prefix, written, scope, window, cost, floor_ms, on_error, match)


def merged(templates: Iterable[LimitTemplate]) -> tuple[LimitTemplate, ...]:
    """The rule's limits before the gateway's, each with a label of its own.

    Those that always count the same are one, the strictest.
    """
    found: dict[tuple[str, str, tuple[str, ...]], LimitTemplate] = {}
    for template in templates:
        # Which glob counts is known only when the request is there.
        place = template.key_prefix, template.written.glob, template.written.globs
        other = found.get(place)
        found[place] = other.strictest(template) if other else template
    named = Counter((template.scope, template.written.name) for template in found.values())
    labelled = [
        replace(template, label=_label(template, named[template.scope, template.written.name]))
        for template in found.values()
    ]
    return tuple(sorted(labelled, key=lambda template: template.scope != "rule"))


def _label(template: LimitTemplate, namesakes: int) -> str:
    """Of several with one name, each has its window behind it."""
    label = label_of(template.scope, template.written.name)
    return f"{label}-{template.window}" if namesakes > 1 and template.window else label


def _dimension(written: WrittenLimit) -> str:
    if written.kind == CONCURRENT:
        return "concurrent"
    return f"per_{written.by[0].partition(':')[0]}" if written.by else "global"


def _counted(written: WrittenLimit, dimension: str) -> str:
    """The same for limits that count the same: what it counts by, the unit, the window."""
    if written.kind == CONCURRENT:
        return f"{'+'.join(written.by)} concurrent"
    header = written.by[0].partition(":")[2] if written.by else ""
    return f"{dimension}{header and f':{header}'} requests {written.quota.window_ms}"


def _first(globs: Sequence[str], text: str) -> str | None:
    return next((glob for glob in globs if matches_glob(glob, text)), None)


def _digest(value: str) -> str:
    """64 bits in eleven characters."""
    digest = hashlib.blake2b(value.encode(), digest_size=8).digest()
    return base64.urlsafe_b64encode(digest)[:-1].decode()


_DIGESTS = Memo(_digest)
#: What all requests of a level together count as.
EVERYTHING = _digest("")
