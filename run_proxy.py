"""Starts the proxy: `python run_proxy.py`, with `--web` to debug in mitmweb."""

import contextlib
import logging
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import click

from mitm_engine.processes.handover import Listening, Offer, Predecessor
from mitm_engine.processes.listener import given_socket, listener_sockets
from mitm_engine.processes.succession import Succession
from mitm_engine.processes.supervisor import supervise
from mitm_engine.processes.worker import Later
from shared import logs
from shared.core.errors import CannotTakeOver
from shared.core.process.exits import exit_with_sentence
from shared.metrics.files import SupervisorMetrics
from shared.metrics_port import serving_metrics
from shared.redis_server.choose import log_store, open_redis
from shared.settings import Settings, load_settings, service_manager
from shared.settings.files import check_ca_file, check_export, check_tls, tls_warning
from shared.settings.listen import METRICS, PROXY, naming_settings
from shared.settings.sections import MITMPROXY, Tls
from shared.settings.service_manager import ServiceManager
from shared.start_line import log_proxy_start

#: The names of the sockets in a hand-over: those of the proxy, and that of its metrics.
_PROXY, _METRICS = "proxy", "metrics"
_EMBEDDED = (
    "With an embedded store, which ends with the program that started it, a running proxy cannot be "
    "replaced: stop and start it, or run the store as a process of its own (redis.mode: external)."
)

logger = logging.getLogger(__name__)


@click.command()
@click.option("--config", type=click.Path(path_type=Path), help="The config.yaml to read.")
@click.option("--workers", type=int, help="Processes that serve. Overrides server.workers.")
@click.option("--engine", help="express or mitmproxy. Overrides server.engine.")
@click.option("--web", is_flag=True, help="Debug in mitmweb on server.web_port. Prints its address.")
@click.option(
    "--replace",
    is_flag=False,
    flag_value="",
    metavar="",
    help="Take over the sockets of the running proxy; it ends when its open requests are complete. Without a "
    "running proxy, start as usual.",
)
def main(
    config: Path | None, workers: int | None, engine: str | None, web: bool, replace: str | None
) -> None:
    """Run the proxy until SIGTERM or Ctrl-C. SIGHUP reads certificates and secrets; SIGUSR2 replaces it."""
    given = {"server.workers": workers, "server.engine": engine}
    if web:  # mitmproxy's own core, which is one process
        given = {"server.workers": 1, "server.engine": MITMPROXY}
    flags = {name: value for name, value in given.items() if value is not None}
    with exit_with_sentence("run_proxy"):
        settings = load_settings(config, flags=flags)
        check_tls(settings.server.tls)
        check_ca_file(settings.security)
        check_export(settings.otel)
        try:
            sys.exit(_serve(settings, config, flags, web=web, replace=replace))
        except CannotTakeOver as error:  # the configuration may be right
            sys.exit(f"run_proxy: {error}")


def _serve(
    settings: Settings, config: Path | None, flags: Mapping[str, object], *, web: bool, replace: str | None
) -> int:
    if settings.server.engine == MITMPROXY:
        if replace is not None:
            raise CannotTakeOver("Only the express engine can replace a running proxy.")
        from mitm_addons.stock.serve import serve_alone  # noqa: PLC0415 -- the supervisor needs no mitmproxy

        serve_alone(settings, with_web=web)
        return 0
    with contextlib.closing(logs.configure(settings.log.level, sys.stdout)):
        return _supervise(settings, config, flags, replace)


def _supervise(
    settings: Settings, config: Path | None, flags: Mapping[str, object], replace: str | None
) -> int:
    server, manager = settings.server, service_manager()
    # The new proxy that SIGUSR2 starts may have another port. So its flag names the socket of the old one.
    path = settings.data_dir / "run" / f"proxy-{server.proxy_port}.sock"
    predecessor = None if replace is None else Predecessor.reach(Path(replace) if replace else path)
    listening = _listening(settings, manager, predecessor)
    exported = _metrics_listening(settings, predecessor)
    if settings.security.egress_proxy.resolve == "proxy":
        logger.warning("security.egress_proxy resolves names itself. It must reject private addresses.")
    _check_dates(server.tls)
    # An embedded Redis runs here: it must not end with a worker.
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(contextlib.closing(open_redis(settings)))
        log_store(store)
        objection = _EMBEDDED if store.embedded else None
        if predecessor and objection:
            raise CannotTakeOver(objection)
        succession = Succession(
            Offer(path, [*listening, *exported], objection),
            _command(path),
            predecessor=predecessor,
            notify=manager.notify,
            watchdog=None if manager.watchdog is None else manager.watchdog / 2,
        )
        sockets = [one.socket for one in listening]
        metrics = None
        for one in exported:
            serving = serving_metrics(settings, "proxy", one.socket, lambda: succession.is_in_charge)
            metrics = SupervisorMetrics(stack.enter_context(serving))
        log_proxy_start(settings, [socket.getsockname()[:2] for socket in sockets], store)
        return supervise(
            Later("proxy_worker", "work"),
            (config, flags, store.shared(), metrics and metrics.folder),
            sockets=sockets,
            workers=server.worker_count,
            drain_timeout=server.drain_timeout,
            succession=succession,
            reloads=lambda: _check_dates(server.tls),
            ended=metrics.ended if metrics else lambda _: None,
        )


def _check_dates(tls: Tls) -> None:
    if warning := tls_warning(tls, datetime.now(UTC)):
        logger.warning("%s", warning)


def _listening(
    settings: Settings, manager: ServiceManager, predecessor: Predecessor | None
) -> list[Listening]:
    """Return the sockets: those of the service manager, the running proxy's, or new ones."""
    server = settings.server
    if manager.descriptors:
        return [Listening(_PROXY, given_socket(number), is_given=True) for number in manager.descriptors]
    inherited = _inherited(predecessor, _PROXY)
    if given := [one for one in inherited if one.is_given]:
        return given
    with naming_settings(PROXY, ", or replace the running proxy with --replace"):
        return _opened(_PROXY, server.proxy_host, server.proxy_port, inherited)


def _metrics_listening(settings: Settings, predecessor: Predecessor | None) -> list[Listening]:
    """Return the socket of the metrics, if they are on: that of the running proxy, or a new one."""
    metrics, inherited = settings.metrics, _inherited(predecessor, _METRICS)
    with naming_settings(METRICS):
        return _opened(_METRICS, [metrics.host] if metrics.port else [], metrics.port, inherited)


def _inherited(predecessor: Predecessor | None, name: str) -> list[Listening]:
    return [one for one in predecessor.listening if one.name == name] if predecessor else []


def _opened(name: str, hosts: Sequence[str], port: int, inherited: Sequence[Listening]) -> list[Listening]:
    """Return a socket for each host. Those of the running proxy that are not needed are closed."""
    sockets = listener_sockets(hosts, port, [one.socket for one in inherited])
    for one in inherited:
        if one.socket not in sockets:
            one.socket.close()
    return [Listening(name, socket) for socket in sockets]


def _command(path: Path) -> list[str]:
    """Return the command that starts this program again, and replaces the proxy that listens on `path`."""
    arguments = [argument for argument in sys.orig_argv[1:] if not argument.startswith("--replace")]
    return [sys.executable, *arguments, f"--replace={path}"]


if __name__ == "__main__":
    main()
