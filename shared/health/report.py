"""The report of one process to all others about a target or a key, on a channel and in a hash of Redis.

``health:{<provider id>}`` has the states of a provider's targets and keys, ``health:{<tenant id>}`` those of
the tenant's targets without a provider. A field is named ``target:<id>``, ``key:<id>`` or
``key:<id>:<model>``; the id of a key has a hash of its secret: ``pk_1.1f2e3d``. The state that one tenant
sees of a provider begins with ``<tenant id>/``. The value is ``<until> <at> <cause> <reason>``, the times in
milliseconds since the Unix epoch.
"""

from dataclasses import dataclass
from typing import Final, Self

from shared.alerts.alert import Alert, breaker_opened, key_rejected
from shared.core.durations import DAY_SECONDS
from shared.secrets.redaction import redact
from shared.upstreams.outcome import KeyEffect

#: The causes of a report about a target: its calls failed, its probes failed, an operator said so.
CALLS, PROBE, OPERATOR = "calls", "probe", "operator"
#: The cause that takes everything back that was said of a target before.
CLOSED = "closed"
#: The causes of a report about a key.
KEY_CAUSES: Final = frozenset(KeyEffect)
_CAUSES: Final = frozenset((CALLS, PROBE, OPERATOR, CLOSED, *KEY_CAUSES))
#: The longest state, in seconds. A longer one is not believed: it would keep a target away for good.
MAX_SECONDS: Final = float(DAY_SECONDS)

#: The characters of a reason that are kept.
MAX_REASON: Final = 200

_TARGET, _KEY = "target:", "key:"


def owner_of(target: str, tenant: str) -> str:
    """The provider of a target, under which its state is stored; the tenant, if the target has none.

    >>> owner_of("prv_1/gpt", "ten_1"), owner_of("9f86d081884c", "ten_1")
    ('prv_1', 'ten_1')
    """
    provider, slash, _ = target.partition("/")
    return provider if slash else tenant


def key_id_of(key: str) -> str:
    """The id of a key, without the hash of its secret."""
    return key.partition(".")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The state of a target or of a key. Times are seconds since the Unix epoch.

    Attributes:
        tenant: whose state it is; empty: everybody's.
        target: the id of a target; of a key, its provider with any model.
        until: when it is tried again.
        at: when it was seen.
        cause: one of the words above.
        why: the failure in a few words.
        key: the id of the key with a hash of its secret, ``<id>.<hash>``; empty: it is about the target.
        model: the model for which the key cools; empty: all.
    """

    tenant: str
    target: str
    until: float
    at: float
    cause: str
    why: str
    key: str = ""
    model: str = ""

    @property
    def provider(self) -> str:
        """The id of the provider; empty for a target without one."""
        return owner_of(self.target, "")

    @property
    def key_id(self) -> str:
        """The id of the key alone."""
        return key_id_of(self.key)

    @property
    def owner(self) -> str:
        """The provider or the tenant whose hash has the state."""
        return owner_of(self.target, self.tenant)

    @property
    def is_shared(self) -> bool:
        """Whether it makes a failure everybody's that some tenant's report has told already."""
        return not self.tenant and not self.is_firm

    @property
    def is_firm(self) -> bool:
        """Whether it replaces what calls have shown, and is not bounded by the settings of a breaker."""
        return self.cause in (PROBE, OPERATOR, CLOSED)

    def is_undone_by(self, closed: Self) -> bool:
        """Whether that report takes this one back."""
        is_its = not self.key and self.target == closed.target and closed.tenant in (self.tenant, "")
        return is_its and self.at <= closed.at

    @property
    def field(self) -> str:
        name = f"{_TARGET}{self.target}"
        if self.key:
            name = f"{_KEY}{self.key}:{self.model}" if self.model else f"{_KEY}{self.key}"
        return f"{self.tenant}/{name}" if self.tenant and self.provider else name

    @property
    def value(self) -> str:
        return f"{round(self.until * 1000)} {round(self.at * 1000)} {self.cause} {self.reason}"

    @property
    def reason(self) -> str:
        """The failure as it may be shown: the words of an upstream could repeat a secret."""
        return redact(self.why)[:MAX_REASON]

    @classmethod
    def parse(cls, owner: str, field: str, value: str) -> Self:
        """The report of a field. Raises ValueError on one of another form."""
        tenant, name = "", field
        if not field.startswith((_TARGET, _KEY)):
            tenant, _, name = field.partition("/")
        key = model = ""
        if name.startswith(_KEY):
            key, _, model = name.removeprefix(_KEY).partition(":")
            target = f"{owner}/{model}"
        elif name.startswith(_TARGET):
            target = name.removeprefix(_TARGET)
            tenant = tenant if "/" in target else owner
        else:
            raise ValueError(f"The field {field[:100]!r} is none of a target or a key.")
        until, at, cause, *why = value.split(" ", 3)
        if cause not in _CAUSES or bool(key) is not (cause in KEY_CAUSES):
            raise ValueError(f"The field {field[:100]!r} has an unknown cause.")
        seen, end = int(at) / 1000, int(until) / 1000
        return cls(
            tenant=tenant,
            target=target,
            until=min(end, seen + MAX_SECONDS),
            at=seen,
            cause=cause,
            why=why[0] if why else "",
            key=key,
            model=model,
        )


def alert_of(report: Report) -> Alert | None:
    """The alert about a report, for webhooks; None if people need not know of it."""
    tenant = report.tenant or None
    if report.key and report.cause == KeyEffect.REJECTED:
        return key_rejected(
            tenant=tenant,
            provider=report.provider,
            key=report.key,
            key_id=report.key_id,
            until=report.until,
            at=report.at,
        )
    if report.key or report.cause not in (CALLS, PROBE):
        return None
    return breaker_opened(
        tenant=tenant, provider=report.provider, target=report.target, until=report.until, at=report.at
    )
