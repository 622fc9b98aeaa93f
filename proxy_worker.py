"""One worker of the proxy on the express engine: settings -> services -> addons -> engine, until a signal."""

import asyncio
import gc
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import uvloop
from mitmproxy import http

from mitm_addons import EngineTraits
from mitm_addons.flows import state_of
from mitm_addons.wire_errors import answer_fault
from mitm_addons.worker import gateway_addons
from mitm_engine import (
    EX_CONFIG,
    Engine,
    Fault,
    Listener,
    Options,
    Policy,
    Seat,
    Terms,
    Timeouts,
    make_master,
)
from shared import logs
from shared.core.errors import GatewayError
from shared.outside.trust import TrustFiles
from shared.services import Services, connect
from shared.settings import Settings, SettingsError, load_settings
from shared.settings import sections as settings_of

#: Loggers of dependencies that are heard from WARNING on.
QUIET = ("mitmproxy", "asyncio", "tornado", "hpack", "urllib3")


def work(seat: Seat, config: Path | None, flags: Mapping[str, object]) -> None:
    """Serve on `seat` until SIGTERM. Ends with `EX_CONFIG` when it cannot begin."""
    try:
        settings = load_settings(config, flags=flags)
        log = logs.configure(settings.log.level, sys.stdout, QUIET)
        try:
            with connect(settings) as services:
                uvloop.run(_serve(seat, services, log))
        finally:
            log.stop()
    except (SettingsError, GatewayError) as error:
        sys.stderr.write(f"run_proxy: {error}\n")
        sys.exit(EX_CONFIG)


async def _serve(seat: Seat, services: Services, log: logs.LogWriter) -> None:
    settings, ending = services.settings, asyncio.Event()
    traits = EngineTraits(
        write=lambda flow, data: engine.write(flow, data),
        replaces_answers=True,
        is_draining=lambda: engine.is_draining,
    )
    async with gateway_addons(services, log.put, traits) as addons:
        engine = Engine(make_master(*addons), engine_options(settings), _policy(services))
        listener = Listener(seat, engine.accept, lambda: engine.connections)
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, ending.set)
        loop.add_signal_handler(signal.SIGHUP, engine.reload_tls)
        # What lives now lives on: no collection has to look at it again.
        gc.collect()
        gc.freeze()
        listener.start()
        await ending.wait()
        listener.stop()
        await engine.drain()


def engine_options(settings: Settings) -> Options:
    """What the settings say of the wire."""
    limits = settings.limits
    return Options(
        head_limit=limits.head,
        field_limit=limits.fields,
        slowest=limits.timeouts.body_rate,
        connections=limits.connections,
        in_flight=limits.in_flight,
        timeouts=_timeouts(limits.timeouts),
        drain_timeout=settings.server.drain_timeout,
        tls=settings.server.tls.files,
    )


def _policy(services: Services) -> Policy:
    settings, limits = services.settings, services.settings.limits
    trust = TrustFiles(settings.data_dir / "trust", settings.security.ca_file)
    common, largest = _timeouts(limits.timeouts), limits.response_body
    # What holds for nearly every request is made once.
    bodies = (limits.request_body, limits.public_body)
    usual = {body: Terms(common, body, largest, trust(None)) for body in bodies}

    def terms(flow: http.HTTPFlow) -> Terms:
        state = state_of(flow)
        if state is None or state.admitted is None:
            return usual[limits.public_body]
        rule = state.admitted.route.rule
        if rule.ca is None:
            return usual[state.body_limit]
        return Terms(common, state.body_limit, largest, trust(rule.ca))

    def answer(why: Fault, flow: http.HTTPFlow | None) -> http.Response:
        return answer_fault(why, flow, services.random_bytes)

    return Policy(answer, terms)


def _timeouts(common: settings_of.Timeouts) -> Timeouts:
    """A rule's own waits for its upstream, and the common ones where it has none."""
    return Timeouts(
        head=common.head,
        grace=common.body_grace,
        keep_alive=common.keep_alive,
        connect=common.connect,
        first_byte=common.first_byte,
        idle=common.idle,
        total=common.total,
    )
