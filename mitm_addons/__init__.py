"""The data plane as mitmproxy addons. The list in `build` is the order in which a request meets them."""

from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from mitmproxy import http

from mitm_addons.access_log import AccessLog
from mitm_addons.admission import Admission, Gateways
from mitm_addons.concurrency import Concurrency
from mitm_addons.dispatch import Dispatcher
from mitm_addons.final_head import FinalHead
from mitm_addons.health import Health, Probe
from mitm_addons.last_used import LastUsed
from mitm_addons.post_response import PostResponse
from mitm_addons.stages import Stages
from mitm_addons.stream_end import StreamEnd, Write
from mitm_addons.upstreams import Pin, TrustFile, Upstreams
from shared.core.admission import HostRules
from shared.core.ports import Clock, Hasher
from shared.settings import Settings


@dataclass(frozen=True, slots=True)
class Parts:
    """What the addons are made of.

    `instance` is this deployment's name in Via headers; `write` reaches a client beside the core.
    """

    settings: Settings
    clock: Clock
    hasher: Hasher
    gateways: Gateways
    hosts: HostRules
    pool: Executor
    pin: Pin
    trust_file: TrustFile
    probe: Probe
    last_used: LastUsed
    write: Write
    random_bytes: Callable[[int], bytes]
    instance: str


def build(parts: Parts, extra: Sequence[object] = ()) -> Dispatcher:
    """All addons, and the `extra` ones after them, behind one dispatcher that fails closed."""
    settings, clock = parts.settings, parts.clock

    async def ended(flow: http.HTTPFlow) -> None:
        hook: Callable[[http.HTTPFlow], Awaitable[None]] = dispatcher.post_response  # type: ignore[attr-defined]
        await hook(flow)

    dispatcher = Dispatcher(
        [
            Health(parts.probe, clock, parts.random_bytes),
            Admission(
                parts.gateways, parts.hosts, parts.hasher, clock, settings, parts.instance, parts.random_bytes
            ),
            Concurrency(),
            Stages(parts.pool, parts.instance),
            Upstreams(parts.pin, parts.trust_file),
            FinalHead(),
            StreamEnd(parts.write),
            AccessLog(clock),
            parts.last_used,
            PostResponse(ended),
            *extra,
        ]
    )
    return dispatcher
