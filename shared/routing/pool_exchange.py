"""One request that may go to one of several targets, and where it went."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

from shared.core.http_tokens import Fields
from shared.model.pools import PoolPolicy
from shared.providers.headers import SHOULD_RETRY
from shared.routing.provider_calls import ProviderCalls
from shared.routing.upstream import Upstream
from shared.upstreams.attempt import Attempt
from shared.upstreams.attempts import Attempts
from shared.upstreams.outcome import Outcome


class ChosenUpstream(NamedTuple):
    """Where a request goes, with its body for that upstream. `pooled` is its exchange with a pool."""

    upstream: Upstream
    body: bytes | None
    pooled: "PoolExchange | None" = None


#: Points a flow at an upstream, with a body for it.
Send = Callable[[Upstream, bytes | None], None]


def tell_no_worker(_: "PoolExchange") -> None:
    """Do nothing: for a process without other workers, and for tests."""


@dataclass(slots=True, eq=False, repr=False, kw_only=True)
class PoolExchange(ABC):
    """The state of a request that has a pool of targets.

    Attributes:
        tell: tells other workers what the attempts have shown.
        attempts: where it may go, and where it went; None before it is known.
        attempt: the call under way, or the one that was served.
        send: points the flow at an upstream, with a body; None before the first target is chosen.
        is_judged: the failure of the last attempt was recorded, and nothing follows it.
        is_hard: clients should not repeat the last attempt, if it has failed: it may be billed.
    """

    tell: "Tell" = tell_no_worker
    attempts: Attempts | None = None
    attempt: Attempt | None = None
    send: Send | None = None
    is_judged: bool = False
    is_hard: bool = False

    @property
    @abstractmethod
    def policy(self) -> PoolPolicy | None:
        """How a target is chosen, and when another one is tried; None before the pool is known."""

    @abstractmethod
    def has_own(self, *timeouts: str) -> bool:
        """Whether these timeouts are those of the target, so that a late one says something about it."""

    @abstractmethod
    def judge(self, status: int, body: bytes, wait: float | None) -> Outcome:
        """The outcome of a response; `body` is its beginning, `wait` the seconds that it asks for."""

    @abstractmethod
    def forward(self, now: float) -> None:
        """Point the request at the target of `attempt`."""

    def give_up(self, now: float) -> None:
        """Another call follows the present one, of which the client sees nothing."""
        return

    @property
    @abstractmethod
    def tenant_id(self) -> str:
        """The tenant, to whom the states of the targets belong."""

    @property
    def shared_provider(self) -> ProviderCalls | None:
        """The provider of the present target, if it is the platform's and so serves other tenants, too."""
        return None

    def share(self) -> None:
        """Tell other workers what the attempts have shown."""
        self.tell(self)

    def receive(self, status: int, now: float, wait: float | None = None) -> None:
        """Record the head of a response that goes to the client. `wait` is as in `judge`."""
        if status < 400:
            self.serve(status, now)
        else:
            # It is recorded by now, unless the engine does not ask about attempts.
            self.fail(self.judge(status, b"", wait), now)

    def serve(self, status: int, now: float) -> None:
        """The response of the present target goes to the client."""
        if self.attempts is not None and not self.is_judged:
            self.attempts.served(now, status)

    def fail(self, outcome: Outcome, now: float) -> None:
        """Record the failure of an attempt that no other one follows, if it is not recorded yet."""
        if self.attempts is not None and not self.is_judged:
            self.is_judged = True
            self.attempts.after(replace(outcome, kind=None), now)
            self.share()

    def end(self) -> None:
        """The exchange is over, however it ended, and lets go of the flow. May be called again."""
        self.send = None
        if self.attempts is not None:
            self.attempts.end()

    def attempt_fields(self) -> Fields:
        """The headers that tell the client about the attempts; none after one that SDKs may repeat."""
        if self.attempts is None:
            return ()
        several = self.attempts.number > 1
        found: Fields = ((b"X-Gateway-Attempts", b"%d" % self.attempts.number),) if several else ()
        if self.is_judged and (several or self.is_hard):  # every target that may be tried has failed
            found += ((SHOULD_RETRY.encode(), b"false"),)
        return found

    def fields(self) -> Fields:
        """The headers that tell the client where its request went."""
        return self.attempt_fields()


#: Tells other workers what the attempts of a request have shown.
Tell = Callable[[PoolExchange], None]
