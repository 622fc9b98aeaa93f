"""Starts the proxy: `python run_proxy.py`, with `--web` under mitmweb for debugging."""

import asyncio
import functools
import sys
from collections.abc import Mapping
from pathlib import Path

import click

from mitm_addons.web import serve_web
from mitm_addons.worker import CannotListen as CoreCannotListen
from mitm_addons.worker import serve
from mitm_engine import CannotListen, check_head, listener_socket, supervise
from proxy_worker import QUIET, engine_options, work
from shared import logs
from shared.core.errors import GatewayError
from shared.services import connect
from shared.settings import Settings, SettingsError, load_settings


@click.command()
@click.option("--config", type=click.Path(path_type=Path), help="The config.yaml to read.")
@click.option("--workers", type=int, help="Processes that serve. Overrides server.workers.")
@click.option("--engine", help="The wire: express or mitmproxy. Overrides server.engine.")
@click.option("--web", is_flag=True, help="Debug in mitmweb, on server.web_port, with a token.")
def main(config: Path | None, workers: int | None, engine: str | None, web: bool) -> None:
    """Run the proxy until SIGTERM or Ctrl-C."""
    given = {"server.workers": workers, "server.engine": "mitmproxy" if web else engine}
    flags = {name: value for name, value in given.items() if value is not None}
    try:
        settings = load_settings(config, flags=flags)
        log = logs.configure(settings.log.level, sys.stdout, QUIET)
        try:
            with connect(settings) as services:
                if settings.server.engine == "express":
                    sys.exit(_supervise(settings, config, flags))
                check = functools.partial(check_head, options=engine_options(settings))
                asyncio.run((serve_web if web else serve)(services, log.put, check))
        finally:
            log.stop()
    except (SettingsError, GatewayError, CoreCannotListen) as error:
        sys.exit(f"run_proxy: {error}")
    except CannotListen as error:
        way_out = "Is the port taken? Set server.proxy_port (GATEWAY__SERVER__PROXY_PORT) to a free one."
        sys.exit(f"run_proxy: {error} {way_out}")


def _supervise(settings: Settings, config: Path | None, flags: Mapping[str, object]) -> int:
    server = settings.server
    return supervise(
        work,
        (config, flags),
        socket=listener_socket(server.proxy_host, server.proxy_port),
        workers=server.worker_count,
        drain_timeout=server.drain_timeout,
    )


if __name__ == "__main__":
    main()
