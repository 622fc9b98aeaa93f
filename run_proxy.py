"""Starts the proxy: `python run_proxy.py`, with `--web` under mitmweb for debugging."""

import contextlib
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from mitm_engine.processes.listener import CannotListen, listener_socket
from mitm_engine.processes.supervisor import supervise
from mitm_engine.processes.worker import Later
from shared import logs
from shared.core.errors import GatewayError
from shared.redis_server.choose import open_redis
from shared.settings import EXPRESS, MITMPROXY, Settings, SettingsError, load_settings


@click.command()
@click.option("--config", type=click.Path(path_type=Path), help="The config.yaml to read.")
@click.option("--workers", type=int, help="Processes that serve. Overrides server.workers.")
@click.option("--engine", help="The wire: express or mitmproxy. Overrides server.engine.")
@click.option("--web", is_flag=True, help="Debug in mitmweb, on server.web_port, with a token.")
def main(config: Path | None, workers: int | None, engine: str | None, web: bool) -> None:
    """Run the proxy until SIGTERM or Ctrl-C."""
    given = {"server.workers": workers, "server.engine": engine}
    if web:  # mitmproxy's own core, which is one process
        given = {"server.workers": 1, "server.engine": MITMPROXY}
    flags = {name: value for name, value in given.items() if value is not None}
    try:
        settings = load_settings(config, flags=flags)
        if settings.server.engine == EXPRESS:
            sys.exit(_supervise(settings, config, flags))
        from proxy_worker import serve_alone  # noqa: PLC0415 -- the supervisor needs no mitmproxy

        serve_alone(settings, web=web)
    except (SettingsError, GatewayError) as error:
        sys.exit(f"run_proxy: {error}")
    except CannotListen as error:
        way_out = "Is the port taken? Set server.proxy_port (GATEWAY__SERVER__PROXY_PORT) to a free one."
        sys.exit(f"run_proxy: {error} {way_out}")


def _supervise(settings: Settings, config: Path | None, flags: Mapping[str, object]) -> int:
    server, log = settings.server, logs.configure(settings.log.level, sys.stdout)
    socket = listener_socket(server.proxy_host, server.proxy_port)
    # An embedded store is held here: it must not end with a worker.
    with contextlib.closing(log), contextlib.closing(open_redis(settings)):
        return supervise(
            Later("proxy_worker", "work"),
            (config, flags),
            socket=socket,
            workers=server.worker_count,
            drain_timeout=server.drain_timeout,
        )


if __name__ == "__main__":
    main()
