"""The addons of the gateway, in the order in which a request meets them, and the adapter to their engine."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import NamedTuple

from mitm_addons.admission import Admission
from mitm_addons.ai.budget_watch import BudgetWatch
from mitm_addons.ai.ledger import Ledger
from mitm_addons.ai.own_usage import OwnUsage
from mitm_addons.ai.shared_health import SharedHealth
from mitm_addons.concurrency import Concurrency
from mitm_addons.forwarding import Forwarding
from mitm_addons.health import Health
from mitm_addons.observe.access_log import AccessLog
from mitm_addons.observe.heartbeats import ProxyHeartbeats
from mitm_addons.observe.last_used import LastUsed
from mitm_addons.observe.traces import exporting
from mitm_addons.observe.worker_metrics import WorkerMetrics, Writers
from mitm_addons.response_head import ResponseHead
from mitm_addons.stages import Stages
from mitm_addons.stream_end import StreamEnd, Write
from mitm_addons.upstreams import Upstreams
from mitm_engine.metrics import Metrics as EngineMetrics
from shared.http.readiness import OK, UNAVAILABLE, Probed
from shared.http.trace_context import Tracing
from shared.limits.headers import state_members
from shared.logs import LogWriter
from shared.metrics.span_queue import SpanQueue
from shared.pipeline.fair_queue import FairQueue
from shared.pipeline.pool import PluginPool
from shared.pipeline.trace import TraceSampler
from shared.records.recorder import Recorder, open_recorder
from shared.routing.ai_calls import AiCalls
from shared.services import DataPlane, Services, hosts_of

#: Loggers of dependencies that write from WARNING on.
QUIET_LOGGERS = ("mitmproxy", "asyncio", "tornado", "hpack", "urllib3")
# Calls that may queue for the pool, per thread.
_QUEUED_PER_THREAD = 64
# Threads for entries in shadow mode: they must not take the threads of requests.
_SHADOW_THREADS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """The abilities of an engine that its addons need. The defaults fit the engine of `mitm_engine`.

    Attributes:
        write: sends bytes to the client of a flow, after what was sent of the response.
        is_draining: whether the worker is about to stop.
        worker: the number of the worker on this machine, from 0.
        metrics: where the series of this machine's workers go; None: they are not counted.
        engine: the counters of the engine, if it has some.
        admission: makes the addon `Admission`.
        concurrency: the addon `Concurrency`.
        stages: makes the addon `Stages`.
        response_head: the addon `ResponseHead`.
        first: addons before all others.
        last: addons after all others.
    """

    write: Write
    is_draining: Callable[[], bool] = lambda: False
    worker: int = 0
    metrics: Path | None = None
    engine: Callable[[], EngineMetrics | None] = lambda: None
    admission: Callable[..., Admission] = Admission
    concurrency: Concurrency = field(default_factory=Concurrency)
    stages: Callable[..., Stages] = Stages
    response_head: ResponseHead = field(default_factory=ResponseHead)
    first: Sequence[object] = ()
    last: Sequence[object] = ()


@contextlib.asynccontextmanager
async def gateway_addons(services: Services, log: LogWriter, adapter: Adapter) -> AsyncIterator[list[object]]:
    """Make the addons and what works behind them, until the context ends."""
    settings, clock, random_bytes = services.settings, services.clock, services.random_bytes
    async with (
        services.data_plane(adapter.worker) as plane,
        exporting(services) as spans,
        asyncio.TaskGroup() as group,
        _threads(services) as threads,
    ):
        last_used = LastUsed(plane.source)
        recorder = open_recorder(services.address.options, settings.records.per_tenant, state_members)
        health = SharedHealth(plane.health, plane.states, clock, services.fetch, plane.alerts.tell)
        watch = BudgetWatch(plane.alerts.tell, clock.now)
        plane.settler.settled = watch.settled
        writers = Writers(log, plane.settler, recorder, spans, plane.alerts)
        metrics = _metrics(services, plane, adapter, writers=writers, watch=watch)
        heartbeats = _heartbeats(services, plane, adapter, log)
        working = (last_used, recorder, plane.settler, plane.bindings, health, heartbeats)
        running = (plane.health.listen(health.heard), *(one.run() for one in working))
        writing = [group.create_task(one) for one in (*running, *(one.run() for one in metrics))]
        try:
            yield [
                *adapter.first,
                Health(partial(_probe, plane, log), clock, random_bytes, adapter.is_draining),
                adapter.admission(
                    plane.gateways,
                    hosts_of(settings),
                    services.hasher,
                    clock,
                    settings,
                    services.instance,
                    random_bytes,
                    _tracing(services),
                ),
                adapter.concurrency,
                _stages(services, plane, adapter, health=health, threads=threads, watch=watch),
                Upstreams(plane.resolver, clock, services.policy.egress),
                adapter.response_head,
                StreamEnd(adapter.write),
                _access_log(services, log, recorder, spans),
                last_used,
                *(one.requests for one in metrics),
                *adapter.last,
            ]
        finally:
            for task in writing:
                task.cancel()
            await asyncio.gather(last_used.flush(), recorder.close(), heartbeats.close())


class _Threads(NamedTuple):
    """The threads of a worker: for plugins, for those in shadow mode, and for long translations."""

    plugins: PluginPool
    shadow: PluginPool
    translations: FairQueue


@contextlib.asynccontextmanager
async def _threads(services: Services) -> AsyncIterator[_Threads]:
    settings = services.settings
    plugins, shadow = [
        PluginPool(threads, threads * _QUEUED_PER_THREAD)
        for threads in (settings.plugins.threads, _SHADOW_THREADS)
    ]
    # It takes turns with the event loop, which more than one thread would only slow down.
    translations = FairQueue(1, waiting=settings.limits.in_flight)
    try:
        yield _Threads(plugins, shadow, translations)
    finally:
        for one in (plugins, shadow):
            one.shutdown(wait=False, cancel_futures=True)
        translations.close()


def _access_log(services: Services, log: LogWriter, recorder: Recorder, spans: SpanQueue | None) -> AccessLog:
    settings = services.settings
    return AccessLog(
        log.put,
        recorder.put if settings.records.per_tenant else None,
        None if spans is None else spans.put,
        shares=settings.log.sample,
        random=random.random,
    )


def _tracing(services: Services) -> Tracing:
    otel = services.settings.otel
    return Tracing(services.random_bytes, otel.sample if otel.endpoint else None)


def _stages(
    services: Services,
    plane: DataPlane,
    adapter: Adapter,
    *,
    health: SharedHealth,
    threads: _Threads,
    watch: BudgetWatch,
) -> Stages:
    clock, records = services.clock, services.settings.records
    return adapter.stages(
        clock,
        threads.plugins,
        threads.shadow,
        services.settings.limits.response_body,
        _forwarding(services, plane, health, threads.translations),
        Ledger(plane.settler.put, services.random_bytes, plane.settler.release, watch.note),
        # Chooses the requests that are traced for their records.
        TraceSampler(records.traces if records.per_tenant else 0),
        plane.limiter.extend,
    )


def _metrics(
    services: Services, plane: DataPlane, adapter: Adapter, *, writers: Writers, watch: BudgetWatch
) -> Sequence[WorkerMetrics]:
    """The addon that counts, if metrics are on."""
    if adapter.metrics is None:
        return ()
    return (
        WorkerMetrics(
            services,
            plane,
            writers,
            folder=adapter.metrics,
            worker=adapter.worker,
            engine=adapter.engine,
            budgets=watch.ratios,
        ),
    )


def _heartbeats(services: Services, plane: DataPlane, adapter: Adapter, log: LogWriter) -> ProxyHeartbeats:
    return ProxyHeartbeats(
        services,
        plane,
        probe=partial(_probe, plane, log),
        engine=adapter.engine,
        is_draining=adapter.is_draining,
    )


def _forwarding(
    services: Services, plane: DataPlane, health: SharedHealth, translations: FairQueue
) -> Forwarding:
    def in_turns(owner: str, call: Callable[..., object], *arguments: object) -> Awaitable[object]:
        return asyncio.wrap_future(translations.submit(owner, call, *arguments))

    calls = AiCalls(services.clock, random.random, health.tell, plane.bindings, in_turns=in_turns)
    return Forwarding(
        services.clock, services.instance, calls, OwnUsage(plane.key_usage.usage, services.clock)
    )


def _probe(plane: DataPlane, log: LogWriter) -> Probed:
    """The state of each part of this worker, and whether it serves."""
    parts, serves = plane.probe()
    return Probed({**parts, "log": OK if log.is_alive else UNAVAILABLE}, serves and log.is_alive)
