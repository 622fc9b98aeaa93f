"""One rule's rate limiters on a limiter in memory, with time in the test's hands."""

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, cast

from shared.limits.distinct_values import DistinctValueTracker
from shared.limits.port import Limiter
from shared.model.config import ApiKey, Rule, Tenant
from shared.model.messages import Exchange, Headers, Metered, Request
from shared.pipeline.plugin import Continue, Reject, Tools
from shared.plugins.rate_limiter import RateLimiter
from tests.pipeline.world import entry


class Hands:
    """A clock that the test turns, in seconds."""

    def __init__(self) -> None:
        self.seconds = 1_750_000_000.0

    def now(self) -> float:
        return self.seconds

    def monotonic(self) -> float:
        return self.seconds


class Gate:
    """The outcomes of requests by one rule's plan, on a shared limiter. `entries` are (origin, settings)."""

    def __init__(
        self,
        limiter: Limiter,
        entries: Sequence[tuple[str, Any]],
        rule: str = "r1",
        *,
        tenant: str = "t1",
        on_error: str = "local",
        most_values: int = 10_000,
        serves_models: bool = True,
    ) -> None:
        self.tenant, self.rule = tenant, rule
        parsed = [
            entry(
                RateLimiter.parse(settings),
                origin=origin,
                on_error=on_error,
                tenant_id=tenant,
                rule_id=rule,
                serves_models=serves_models,
            )
            for origin, settings in entries
        ]
        self.plugin = RateLimiter.merge(parsed)
        unrouted_address = cast(Any, None)
        self.plugin.start(
            Tools(limiter, unrouted_address, Hands(), distinct_values=DistinctValueTracker(most_values))
        )

    def exchange(
        self,
        client: str = "192.0.2.7",
        key: str | None = None,
        *,
        method: str = "POST",
        path: str = "/v1/chat",
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        models: tuple[str, ...] = (),
        metered: Metered | None = None,
    ) -> Exchange:
        return Exchange(
            id="request",
            tenant=Tenant(self.tenant, "Tenant", "tenant"),
            rule=Rule(self.rule, "/", "http://localhost"),
            request=Request(method, path, Headers((headers or {}).items()), body=body),
            client=client,
            key=ApiKey(key, "Key", "gw_", "hash") if key else None,
            models=models,
            metered=metered,
        )

    def ask(self, *given: Any, **request: Any) -> Continue | Reject:
        verdict = asyncio.run(self.plugin.pre_request(self.exchange(*given, **request)))
        assert isinstance(verdict, Continue | Reject)
        return verdict

    def admitted(self, times: int, **request: Any) -> int:
        return sum(isinstance(self.ask(**request), Continue) for _ in range(times))

    def headers(self, verdict: Continue | Reject) -> Mapping[str, str]:
        return dict(self.plugin.response_headers(self.exchange().with_notes(verdict.notes)))

    def end(self, verdict: Continue | Reject, metered: Metered | None = None) -> None:
        """The exchange that `verdict` was for is over."""
        waiting = self.plugin.cleanup(self.exchange(metered=metered).with_notes(verdict.notes))
        if waiting is not None:
            asyncio.run(_all_of(waiting))


async def _all_of(waiting: Awaitable[None]) -> None:
    await waiting


def rejected(verdict: Continue | Reject) -> Reject:
    assert isinstance(verdict, Reject)
    return verdict
