"""`python -m bench.models`: finding models and choosing targets, with many providers, models and tenants.

Times are CPU times, so that other programs on the machine make little difference.
"""

import gc
import itertools
import json
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import click

from bench.report import Target, end_with
from mitm_engine.engine import GC_THRESHOLDS
from shared.core.errors import Rejection
from shared.model.config import ApiKey, Rule, Snapshot, Tenant, Tier
from shared.model.messages import Headers, Request
from shared.model.providers import (
    AiRule,
    Model,
    ModelTarget,
    PlatformDocument,
    Provider,
    ProviderKey,
    ProviderModel,
    Shared,
)
from shared.pipeline.dry_run import not_called
from shared.pipeline.plugin import Tools
from shared.providers.resolve import Resolution
from shared.routing.ai_calls import AiCalls
from shared.routing.ai_route import AiRoute
from shared.routing.compile import Compiler
from shared.secrets.sealing import AesSealer
from shared.services import SystemClock
from shared.testing.memory_limiter import MemoryLimiter

PROVIDERS, MODELS, TENANTS = 100, 20, 1_000
_REQUESTS = 20_000
_PATH = "/v1/chat/completions"
_HEADERS = Headers([("Content-Type", "application/json")])
_EVERYBODY = Shared(all=True)
_CLOCK = SystemClock()


def platform() -> PlatformDocument:
    """Providers with keys and models whose capabilities are known, and a model of each two of them."""
    caps = {"vision": False, "tools": True, "context": 128_000}
    providers = [
        Provider(
            f"prv_{number}",
            f"p{number}",
            "openai",
            keys=(ProviderKey(id=f"pk_{number}", name="main", env="KEY"),),
            models=tuple(ProviderModel(id=f"m{number}-{one}", caps=caps) for one in range(MODELS)),
            shared=_EVERYBODY,
        )
        for number in range(PROVIDERS)
    ]
    models = [
        Model(
            f"pair-{first}",
            (
                ModelTarget(provider=f"p{first}", model=f"m{first}-0"),
                ModelTarget(provider=f"p{second}", model=f"m{second}-0"),
            ),
            shared=_EVERYBODY,
        )
        for first, second in itertools.pairwise(range(PROVIDERS))
    ]
    return PlatformDocument(tuple(providers), tuple(models))


def compiled() -> list[AiRoute]:
    """The rule for AI of each tenant. It has all providers."""
    tools = Tools(MemoryLimiter(_CLOCK), not_called, _CLOCK)
    sealer = AesSealer([b"k" * 32], lambda size: b"n" * size)
    compiler = Compiler(
        {}, {"basic": Tier("basic")}, sealer, tools, opened={"env:KEY": "sk-bench-0123456789"}
    )
    shared, routes = compiler.platform(platform()), []
    for number in range(TENANTS):
        tenant = Tenant(f"ten_{number}", f"t{number}", f"t{number}", tier="basic")
        rule = Rule("rule_1", "/v1", "", public=True, ai=AiRule())
        gateway = compiler(Snapshot(tenant, (rule,), ()), shared)
        [route] = gateway.router.routes()
        if route.ai is None:
            raise RuntimeError(f"The rule for AI was not compiled: {route.fault}")
        routes.append(route.ai)
    return routes


def requests(seed: int) -> Iterator[tuple[int, str]]:
    """The number of a tenant and the name of a model: bare, with its provider, or of a pair."""
    drawn = random.Random(seed)
    for _ in range(_REQUESTS):
        number, one = drawn.randrange(PROVIDERS - 1), drawn.randrange(MODELS)
        names = (f"m{number}-{one}", f"p{number}/m{number}-{one}", f"pair-{number}")
        yield drawn.randrange(TENANTS), drawn.choice(names)


def measure(rounds: int) -> list[Target]:
    """The 99th percentile of each step over the rounds, in microseconds."""
    routes = compiled()
    gc.freeze()  # as a worker does before it serves
    gc.set_threshold(*GC_THRESHOLDS)
    calls = AiCalls(_CLOCK, random.Random(1).random)
    new, known, first, again = list[float](), list[float](), list[float](), list[float]()
    for seed in range(rounds):
        asked = [(routes[number], name) for number, name in requests(seed)]
        new.append(_resolving(asked))
        known.append(_resolving(asked))
        first.append(_choosing(calls, asked))
        again.append(_choosing(calls, asked))
    return [
        Target("p99 to find a model that its key has not asked for before, us", new, 50),
        Target("p99 to find a model again, us", known, 10),
        Target("p99 to choose a target for the first time, us", first, 1_000),
        Target("p99 to choose a target again, us", again, 200),
    ]


def _resolving(asked: list[tuple[AiRoute, str]]) -> float:
    key = ApiKey("key_1", "k", "hash", "prefix")

    def resolve(route: AiRoute, name: str) -> Any:
        return route.resolver.resolve(name, "openai.chat", key)

    return _p99(resolve, asked)


def _choosing(calls: AiCalls, asked: list[tuple[AiRoute, str]]) -> float:
    prepared = []
    for route, name in asked:
        body = json.dumps({"model": name, "messages": [{"role": "user", "content": "Hello!"}]}).encode()
        request = Request("POST", _PATH, _HEADERS, "", body)
        begun = calls.begin(_PATH, route)
        if isinstance(begun, Rejection) or calls.resolve(begun, None, request) is not None:
            raise RuntimeError(f"{name} was not found.")
        prepared.append((begun, request))

    def choose(exchange: Any, request: Request) -> Any:
        found = calls.choose(exchange, None, request)
        exchange.end()
        return found

    return _p99(choose, prepared)


def _p99(step: Callable[[Any, Any], Any], each: list[tuple[Any, Any]]) -> float:
    times = []
    for first, second in each:
        began = time.thread_time_ns()
        found = step(first, second)
        times.append(time.thread_time_ns() - began)
        if not isinstance(found, Resolution | tuple):
            raise RuntimeError(f"{second} was rejected: {found}")
    return sorted(times)[len(times) * 99 // 100] / 1000


@click.command()
@click.option("--rounds", default=5, help="How often each is measured.")
def main(rounds: int) -> None:
    """Measure finding models and choosing targets. Exit code 1 when a target is missed."""
    found = measure(rounds)
    print(f"{PROVIDERS} providers with {MODELS} models, {TENANTS} tenants.\n")
    end_with(found)


if __name__ == "__main__":
    main()
