"""Starts the proxy: `python run_proxy.py`, with `--web` to debug in mitmweb."""

import contextlib
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from mitm_engine.processes.listener import listener_socket
from mitm_engine.processes.supervisor import supervise
from mitm_engine.processes.worker import Later
from shared import logs
from shared.core.errors import CannotListen, GatewayError
from shared.redis_server.choose import open_redis
from shared.settings import Settings, SettingsError, load_settings
from shared.settings.sections import EXPRESS, MITMPROXY


@click.command()
@click.option("--config", type=click.Path(path_type=Path), help="The config.yaml to read.")
@click.option("--workers", type=int, help="Processes that serve. Overrides server.workers.")
@click.option("--engine", help="express or mitmproxy. Overrides server.engine.")
@click.option("--web", is_flag=True, help="Debug in mitmweb on server.web_port. Prints its address.")
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
        from mitm_addons.stock.serve import serve_alone  # noqa: PLC0415 -- the supervisor needs no mitmproxy

        serve_alone(settings, with_web=web)
    except CannotListen as error:
        fix = "Set server.proxy_port (GATEWAY__SERVER__PROXY_PORT) to a free port."
        sys.exit(f"run_proxy: {error} {fix}")
    except (SettingsError, GatewayError) as error:
        sys.exit(f"run_proxy: {error}")


def _supervise(settings: Settings, config: Path | None, flags: Mapping[str, object]) -> int:
    server, log = settings.server, logs.configure(settings.log.level, sys.stdout)
    socket = listener_socket(server.proxy_host, server.proxy_port)
    # An embedded Redis runs here: it must not end with a worker.
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
