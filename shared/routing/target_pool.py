"""The pool of a rule with several targets, and the exchange of one request with it."""

import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final

from shared.bodies.json.lenient import json_or_none
from shared.core.errors import Rejection, make_rejection
from shared.health.states import PoolStates
from shared.model.config import CLIENT, Rule
from shared.model.messages import Headers
from shared.model.pools import PoolPolicy, RetryOn, UrlTarget
from shared.routing.pool_exchange import PoolExchange, Tell, tell_no_worker
from shared.routing.upstream import Upstream
from shared.upstreams.affinity import AffinityKeys
from shared.upstreams.attempt import Attempt, Ended
from shared.upstreams.attempts import Attempts
from shared.upstreams.choose import Pool
from shared.upstreams.outcome import SERVED, Fault, Outcome
from shared.upstreams.retry_budget import RetryBudget
from shared.upstreams.target import Target, TargetState

_KINDS: Final[Mapping[int, RetryOn]] = {
    429: RetryOn.RATE_LIMIT,
    **dict.fromkeys((503, 529), RetryOn.OVERLOADED),
    **dict.fromkeys((500, 502, 504), RetryOn.SERVER_ERROR),
}


def target_id(tenant_id: str, url: str) -> str:
    """The name of a target in states and logs: 12 hex digits that no other tenant has."""
    return hmac.digest(tenant_id.encode(), url.encode(), sha256).hex()[:12]


def merged(common: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """The headers of a rule with those of one of its targets, which win in any spelling."""
    names = {name.lower() for name in own}
    return {**{name: value for name, value in common.items() if name.lower() not in names}, **own}


def policy_of(rule: Rule) -> PoolPolicy:
    """The policy of the rule's targets. The client's own credentials go to the first choice only."""
    if rule.credential != CLIENT:
        return rule.policy
    return replace(rule.policy, retry=replace(rule.policy.retry, attempts=1))


class TargetPool:
    """The targets of one rule. One event loop uses it."""

    def __init__(
        self,
        targets: Sequence[tuple[UrlTarget, Upstream]],
        policy: PoolPolicy,
        tenant_id: str,
        states: PoolStates,
    ) -> None:
        """`policy` says when another target is tried. Raises ValueError if a URL is there twice."""
        self.tenant_id = tenant_id
        self._upstreams = {target_id(tenant_id, one.url): upstream for one, upstream in targets}
        if len(self._upstreams) < len(targets):
            raise ValueError("targets must not have the same url twice. Set its weight instead.")
        members = [
            Target(
                id=target_id(tenant_id, one.url),
                weight=one.weight,
                priority=one.priority,
                first_byte=upstream.timeouts.first_byte,
            )
            for one, upstream in targets
        ]

        def state(target: Target) -> TargetState:
            return states.target(tenant_id, target.id, policy)

        self._pool = Pool(members, policy, state, secret=states.secret, worker=states.worker)
        self._budget = RetryBudget()
        by = policy.affinity.by if policy.affinity else ()
        self._affinity = AffinityKeys(by, tenant_id, states.secret) if by else None

    @property
    def policy(self) -> PoolPolicy:
        """How a target is chosen, and when another one is tried."""
        return self._pool.policy

    def upstream(self, attempt: Attempt) -> Upstream:
        """The upstream of an attempt."""
        return self._upstreams[attempt.target.id]

    def begin(
        self,
        headers: Headers,
        body: bytes | None,
        *,
        random: Callable[[], float],
        now: float,
        tell: Tell = tell_no_worker,
    ) -> "tuple[TargetExchange, Upstream] | Rejection":
        """Choose the first target of a request.

        `body` is None for one that is forwarded as it arrives. `random` returns numbers from 0 to 1,
        `tell` is that of its exchange.
        """
        attempts = Attempts(self._pool, self._budget, random)
        if self._affinity is not None:
            attempts.affinity = self._affinity.key(headers, json_or_none(body or b""))
        attempt = attempts.first(now)
        if isinstance(attempt, Ended):
            wait = attempt.retry_after
            return make_rejection(
                "no_upstream",
                "No target of this rule can be called now. Retry later.",
                {} if wait is None else {"Retry-After": str(wait)},
            )
        begun = TargetExchange(self, body, tell=tell, attempts=attempts, attempt=attempt)
        return begun, self.upstream(attempt)


@dataclass(slots=True, eq=False, repr=False)
class TargetExchange(PoolExchange):
    """The state of a request to a pool of a rule.

    Attributes:
        pool: the targets.
        body: the body of the request; None for one that is forwarded as it arrives.
    """

    pool: TargetPool
    body: bytes | None

    @property
    def policy(self) -> PoolPolicy:
        return self.pool.policy

    def has_own(self, *_: str) -> bool:
        return True  # the states of these targets are the tenant's own

    def judge(self, status: int, body: bytes, wait: float | None) -> Outcome:
        """The outcome by the status alone: it is not known which errors such a body has."""
        if status < 400:
            return SERVED
        is_targets = status >= 500
        fault = Fault.TARGET if is_targets else Fault.NOBODY if status == 429 else Fault.CLIENT
        return Outcome(kind=_KINDS.get(status), fault=fault, why=f"status {status}", status=status, wait=wait)

    @property
    def tenant_id(self) -> str:
        return self.pool.tenant_id

    def forward(self, now: float) -> None:
        if self.attempt is not None and self.send is not None:
            self.send(self.pool.upstream(self.attempt), self.body)
