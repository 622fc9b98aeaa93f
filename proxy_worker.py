"""One worker of the proxy: settings -> services -> addons -> engine, until a signal."""

import ssl
import sys
from collections.abc import Mapping
from contextlib import closing
from functools import lru_cache
from pathlib import Path

import uvloop
from mitmproxy import http

from mitm_addons.attempts import AI_RETRIES, TARGET_RETRIES, PoolAttempts
from mitm_addons.flows import FlowState, GatewayFlow
from mitm_addons.gateway import QUIET_LOGGERS, Adapter, gateway_addons
from mitm_addons.health import PROBES, Health
from mitm_addons.response_head import ResponseHead
from mitm_addons.stream_keepalive import StreamKeepAlive
from mitm_addons.wire_errors import error_response
from mitm_engine.closing import LINGER
from mitm_engine.engine import Engine, make_master, serve
from mitm_engine.options import Options, Policy, Terms, Timeouts
from mitm_engine.processes.scoreboard import WorkerContext
from mitm_engine.wire_error import WireError
from shared import logs
from shared.core.errors import GatewayError
from shared.core.process.exits import exit_with_sentence
from shared.http.varying import VARYING
from shared.net.trust import TrustFiles
from shared.plugins import built_in_plugins
from shared.redis_server.choose import RedisAddress
from shared.routing.admission import Admitted
from shared.routing.timeouts import UpstreamTimeouts
from shared.services import Services, connect
from shared.settings import Settings, load_settings
from shared.settings import sections as settings_of
from shared.settings.sections import PROXY_V2

built_in_plugins()  # imports them now, while the process is on standby

# Seconds for which a client with a valid key may send the rest of a body after its response: most clients
# read the response only then.
_KNOWN_LINGER = 30.0
# By the kind of a rule: a name is found in a cache sooner than its value.
_RETRIES = {"ai": AI_RETRIES, "targets": TARGET_RETRIES}


def work(
    context: WorkerContext,
    config: Path | None,
    flags: Mapping[str, object],
    store: RedisAddress,
    metrics: Path | None = None,
) -> None:
    """Serve until SIGTERM, with the store of the supervisor. Exits with `EX_CONFIG` if it cannot.

    `metrics` is the folder for what is counted; None: nothing is.
    """
    with exit_with_sentence("run_proxy"):
        settings = load_settings(config, flags=flags)
        log = logs.configure(settings.log.level, sys.stdout, QUIET_LOGGERS)
        with closing(log), connect(settings, store) as services:
            uvloop.run(_serve(context, services, log, metrics))


async def _serve(
    context: WorkerContext, services: Services, log: logs.LogWriter, metrics: Path | None
) -> None:
    settings = services.settings

    def write(flow: http.HTTPFlow, data: bytes) -> None:
        engine.write(flow, data)

    adapter = Adapter(
        write=write,
        is_draining=lambda: engine.is_draining,
        worker=context.number,
        metrics=metrics,
        engine=lambda: engine.metrics,
        response_head=ResponseHead(StreamKeepAlive(write)),
    )
    async with gateway_addons(services, log, adapter) as addons:
        master = make_master(*addons)
        try:
            engine = Engine(master, _options(settings), _policy(services))
        except (OSError, ssl.SSLError) as error:
            message = f"server.tls: the certificate and its key cannot be used: {error}"
            raise GatewayError(message) from None
        [health] = [addon for addon in addons if isinstance(addon, Health)]
        await serve(context, master, engine, health.can_serve, reloads=services.read_secrets_again)


def _options(settings: Settings) -> Options:
    limits, egress = settings.limits, settings.security.egress_proxy.proxy
    is_proxied = settings.server.proxy_protocol == PROXY_V2
    return Options(
        head_limit=limits.head,
        field_limit=limits.fields,
        varying=VARYING,
        held_bytes=limits.buffered_bytes,
        min_rate=limits.timeouts.body_rate,
        connections=limits.connections,
        in_flight=limits.in_flight,
        always_served=PROBES,
        timeouts=_timeouts(limits.timeouts, UpstreamTimeouts()),
        drain_timeout=settings.server.drain_timeout,
        tls=settings.server.tls.files,
        balancers=settings.trusted_proxies if is_proxied else None,
        proxy_authorization=egress.authorization if egress else None,
    )


def _policy(services: Services) -> Policy:
    settings, limits = services.settings, services.settings.limits
    trust = TrustFiles(settings.data_dir / "trust", settings.security.ca_file)

    @lru_cache(8192)
    def make_terms(
        timeouts: UpstreamTimeouts,
        request: int,
        response: int,
        authority: str | None,
        owner: str,
        linger: float,
        retries: str = "",
        reads_on: float = 0.0,
    ) -> Terms:
        times = _timeouts(limits.timeouts, timeouts)
        trusted = str(trust(authority))
        return Terms(times, request, response, trusted, owner, linger, _RETRIES.get(retries), reads_on)

    default, known = [
        make_terms(UpstreamTimeouts(), limits.public_body, limits.response_body, None, "", linger)
        for linger in (LINGER, _KNOWN_LINGER)
    ]

    def terms(flow: GatewayFlow) -> Terms:
        state = flow.gateway_state
        if state is None or state.admitted is None:
            return known if state is not None and state.has_valid_key else default
        admitted, upstream = state.admitted, state.call.upstream
        kept = {} if state.known is None else state.known.terms
        found = kept.get(upstream is None)
        if found is None or found[0] is not admitted or found[1] is not upstream:
            found = kept[upstream is None] = admitted, upstream, find_terms(state, admitted)
        return found[2]

    def find_terms(state: FlowState, admitted: Admitted) -> Terms:
        route, owner = admitted.route, admitted.gateway.snapshot.tenant.id
        linger = _KNOWN_LINGER if state.has_valid_key else LINGER
        upstream, most = state.call.upstream or route.upstream, (state.body_limit, route.bodies.response)
        retries = "ai" if state.ai is not None else "" if route.pool is None else "targets"
        reads_on = (route.rule.drain_on_disconnect or 0.0) if state.ai is not None else 0.0
        return make_terms(upstream.timeouts, *most, upstream.ca, owner, linger, retries, reads_on)

    def response(error: WireError, flow: http.HTTPFlow | None) -> http.Response:
        return error_response(error, flow, services.random_bytes)

    attempts = PoolAttempts(services.clock)
    # Each flow has the attribute of a `GatewayFlow`.
    return Policy(response, terms, attempts.retry, attempts.holds, attempts.held, GatewayFlow)  # type: ignore[arg-type]


def _timeouts(clients: settings_of.Timeouts, upstream: UpstreamTimeouts) -> Timeouts:
    """Combine the operator's timeouts for clients with the rule's for its upstream."""
    return Timeouts(
        head=clients.head,
        grace=clients.body_grace,
        keep_alive=clients.keep_alive,
        connect=upstream.connect,
        first_byte=upstream.first_byte,
        idle=upstream.idle,
        total=upstream.total,
    )
