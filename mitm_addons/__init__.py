"""The data plane as mitmproxy addons. The list in `build` is the order in which a request meets them."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

from mitm_addons.admission import Admission, CheckHead, Gateways
from mitm_addons.concurrency import Concurrency
from mitm_addons.event_streams import Cut
from mitm_addons.health import Health, Probe
from mitm_addons.observe.access_log import AccessLog
from mitm_addons.observe.last_used import LastUsed
from mitm_addons.response_head import ResponseHead
from mitm_addons.stages import Stages
from mitm_addons.stock.lost_flows import LostFlows
from mitm_addons.stream_end import StreamEnd, Write
from mitm_addons.upstreams import Resolve, TrustFile, Upstreams
from shared.core.clock import Clock
from shared.logs import PutLine
from shared.routing.admission import HostRules
from shared.secrets.api_keys import PepperedHasher
from shared.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineTraits:
    """What the addons must know of the engine that they run on.

    `check_head` is the check of a request's head that the engine leaves to us, None when it does it itself.
    `replaces_responses`: an answer that is set in `responseheaders` goes out at once, without the upstream's
    body. `keeps_apart`: that an upstream's connection ends does not end the client's. `write` reaches a
    client beside the engine; `is_draining` says that the worker is about to end. `loses_flows` says that a
    flow may end without a hook. `cut` ends a client's connection where a stream function cannot: one whose
    stream functions may raise to end the answer, and may be awaited, has None.
    """

    write: Write
    cut: Cut | None
    check_head: CheckHead | None = None
    replaces_responses: bool = False
    keeps_apart: bool = False
    loses_flows: bool = True
    is_draining: Callable[[], bool] = lambda: False


@dataclass(frozen=True, slots=True)
class Parts:
    """What the addons are made of.

    `instance` is this deployment's name in Via headers; `put_line` writes to the log.
    """

    settings: Settings
    clock: Clock
    hasher: PepperedHasher
    gateways: Gateways
    hosts: HostRules
    pool: Executor
    shadow_pool: Executor
    resolve: Resolve
    trust_file: TrustFile
    probe: Probe
    last_used: LastUsed
    random_bytes: Callable[[int], bytes]
    instance: str
    engine: EngineTraits
    put_line: PutLine


def build(parts: Parts, extra: Sequence[object] = ()) -> list[object]:
    """All addons in the order in which a request meets them, and the `extra` ones after them."""
    settings, clock, engine = parts.settings, parts.clock, parts.engine
    return [
        Health(parts.probe, clock, parts.random_bytes, engine.is_draining),
        Admission(
            parts.gateways,
            parts.hosts,
            parts.hasher,
            clock,
            settings,
            parts.instance,
            parts.random_bytes,
            engine.check_head,
        ),
        Concurrency(),
        *((LostFlows(),) if engine.loses_flows else ()),
        Stages(
            clock,
            parts.pool,
            parts.shadow_pool,
            settings.limits.response_body,
            parts.instance,
            engine.replaces_responses,
            engine.cut,
        ),
        Upstreams(parts.resolve, parts.trust_file, clock),
        ResponseHead(engine.keeps_apart),
        StreamEnd(engine.write),
        AccessLog(clock, parts.put_line),
        parts.last_used,
        *extra,
    ]
