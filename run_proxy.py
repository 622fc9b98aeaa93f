"""Starts the proxy: `python run_proxy.py`, with `--web` under mitmweb for debugging."""

import asyncio
import sys
from pathlib import Path

import click

from mitm_addons.web import serve_web
from mitm_addons.worker import CannotListen, serve
from shared import logs
from shared.core.errors import GatewayError
from shared.services import connect
from shared.settings import SettingsError, load_settings

_QUIET = ("mitmproxy", "asyncio", "tornado", "hpack", "urllib3")


@click.command()
@click.option("--config", type=click.Path(path_type=Path), help="The config.yaml to read.")
@click.option("--workers", type=int, help="Processes that serve. Overrides server.workers.")
@click.option("--engine", help="The wire: mitmproxy. Overrides server.engine.")
@click.option("--web", is_flag=True, help="Debug in mitmweb, on server.web_port, with a token.")
def main(config: Path | None, workers: int | None, engine: str | None, web: bool) -> None:
    """Run the proxy until SIGTERM or Ctrl-C."""
    given = {"server.workers": workers, "server.engine": engine}
    flags = {name: value for name, value in given.items() if value is not None}
    try:
        settings = load_settings(config, flags=flags)
        listener = logs.configure(settings.log.level, sys.stdout, _QUIET)
        try:
            with connect(settings) as services:
                asyncio.run(serve_web(services) if web else serve(services))
        finally:
            listener.stop()
    except (SettingsError, GatewayError, CannotListen) as error:
        sys.exit(f"run_proxy: {error}")


if __name__ == "__main__":
    main()
