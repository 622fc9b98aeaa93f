"""Runs a gateway on this machine until Ctrl-C: store, admin API, proxy and two demo upstreams.

`scripts/run_local.sh` starts it. Everything that it starts ends with it, even after kill -9.
"""

import argparse
import os
import signal
import sys
import threading
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from urllib.request import getproxies, proxy_bypass

from scripts.demo import Api, DemoFailed, curl_lines, demo_key, free_subdomain
from scripts.parts import Part, PartFailed, Running, running
from shared.core.errors import EX_CONFIG, FolderUnusable, GatewayError, StoreDown
from shared.core.process.data_files import LOCAL, check_writable, lock_file
from shared.core.process.exits import exit_with_sentence
from shared.redis_server.choose import RedisAddress, open_redis
from shared.settings import Settings, load_settings_or_exit
from shared.settings.files import tls_warning
from shared.settings.listen import ADMIN, ADMIN_METRICS, METRICS, PROXY, check_listen
from shared.settings.probe import admin_url, beginning_of, proxy_url, ready_url

#: Time for a part to become ready. Importing an uncompiled mitmproxy alone takes 10 s.
READY_TIMEOUT_SECONDS = 60.0
#: Time for an external Redis that starts at the same time. One that reads its data from disk gets more.
STORE_TIMEOUT_SECONDS = 3.5


def main() -> None:
    """Start all parts, print their state and example calls, and wait."""
    parser = argparse.ArgumentParser(prog="run_local.sh", description="Run the gateway on this machine.")
    parser.add_argument("--no-demo", action="store_true", help="leave the store empty")
    create = not parser.parse_args().no_demo
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stopping.set())
    settings = load_settings_or_exit()
    with exit_with_sentence("run_local.sh"):
        check_ports(settings)
    try:
        check_writable(settings.data_dir)
        hold_lock(settings.data_dir)
        with closing(find_store(settings, stopping)) as store:
            if stopping.is_set():
                return
            report("ok", "store", store.describe())
            if store.warning:
                report("WARN", "store", store.warning)
            if warning := tls_warning(settings.server.tls, datetime.now(UTC)):
                report("WARN", "proxy", warning)
            with running(parts(settings), settings.data_dir, stopping) as started:
                serve(started, settings, create=create)
    except PartFailed as error:
        report("FAIL", error.part.name, str(error))
        sys.exit(1)
    except GatewayError as error:
        report("FAIL", "store", str(error))
        sys.exit(EX_CONFIG)


def hold_lock(folder: Path) -> None:
    """Lock a file in the folder until this process ends, so that `gw down` can end it."""
    lock = lock_file(folder / LOCAL)
    if lock is None:
        raise FolderUnusable(f"Another gateway with the data in {folder} runs. End it with `gw down`.")
    os.ftruncate(lock, 0)
    os.write(lock, f"{os.getpid()}\n".encode())


def find_store(settings: Settings, stopping: threading.Event) -> RedisAddress:
    """The Redis to use, which responds. One that starts at the same time gets some seconds to do so.

    Raises `StoreDown` when it does not respond, and `GatewayError` when it cannot be used.
    """
    too_late = threading.Event()
    timer = threading.Timer(STORE_TIMEOUT_SECONDS, too_late.set)
    timer.daemon = True
    timer.start()
    store, told = open_redis(settings), None
    while store.trouble is not None and not stopping.is_set():
        if too_late.is_set() and not store.is_loading:
            raise StoreDown(
                f"Redis at {store.name} does not respond: {store.trouble}. Start it, or set redis.host and "
                "redis.port (or redis.url) to one that runs."
            )
        if store.trouble != told:
            told = store.trouble
            report("wait", "store", f"Redis at {store.name} does not respond yet: {told}")
        stopping.wait(0.1)
        store = store.ask(timeout=1.0)
    return store


def serve(started: Running, settings: Settings, *, create: bool) -> None:
    """Report each part when it is ready, print example calls, and wait for a signal to stop."""
    urls = {
        "demo": demo_url(settings.demo.port),
        "demo2": f"{demo_url(settings.demo.second_port)}, made to fail by {control_url(settings)}",
        "admin": admin_url(settings),
        "proxy": proxy_url(settings),
    }
    for part in started.wait_until_ready(READY_TIMEOUT_SECONDS):
        report("ok", part.name, urls.get(part.name, part.ready))
    if started.stopping.is_set():
        return
    show(settings, create=create)
    write("Ctrl-C stops everything.")
    started.wait()


def parts(settings: Settings) -> list[Part]:
    """The programs, with the commands that start them by hand."""
    demo = settings.demo
    upstream = [sys.executable, "-m", "examples.demo_upstream", "--port"]
    return [
        Part("demo", [*upstream, str(demo.port)], f"{demo_url(demo.port)}/healthz"),
        Part(
            "demo2",
            [*upstream, str(demo.second_port), "--control-port", str(demo.control_port)],
            control_url(settings),
        ),
        Part("admin", [sys.executable, "-m", "gunicorn", "wsgi:app"], ready_url("admin", settings)),
        Part(
            "proxy",
            [sys.executable, "run_proxy.py"],
            ready_url("proxy", settings),
            beginning_of("proxy", settings),
        ),
    ]


def show(settings: Settings, *, create: bool) -> None:
    """Create the demo tenant in an empty store, and print addresses and example calls."""
    admin, token = admin_url(settings), settings.admin.token
    api = Api(admin, token)
    logs = f"{settings.data_dir}/{{admin,proxy,demo,demo2}}.log"
    write("", f"Dashboard {admin}/ui/", f"API docs  {admin}/docs", f"Logs      {logs}", "")
    try:
        key = demo_key(api, settings, create=create)
        if key is None:
            write("There is no tenant `demo`. Only an empty store gets one at startup, without --no-demo.")
            return
        subdomain = free_subdomain(api)
    except DemoFailed as error:
        report("FAIL", "demo tenant", str(error))
        return
    if beginning_of("proxy", settings):
        write("Call the proxy through its load balancer, which sends PROXY headers (server.proxy_protocol).")
        return
    direct = "http" not in getproxies() or proxy_bypass("localhost")
    for text, call in curl_lines(
        admin, proxy_url(settings), key, subdomain, token=token is not None, direct=bool(direct)
    ):
        write(text, call, "")


def check_ports(settings: Settings) -> None:
    """Raise `CannotListen` when a port cannot be used."""
    server = settings.server
    for host in server.admin_host:
        check_listen(host, server.admin_port, ADMIN)
    for host in server.proxy_host:
        check_listen(host, server.proxy_port, PROXY)
    for port, names in ((settings.metrics.port, METRICS), (settings.metrics.admin_api_port, ADMIN_METRICS)):
        if port:
            check_listen(settings.metrics.host, port, names)
    for name in ("port", "second_port", "control_port"):
        check_listen("127.0.0.1", getattr(settings.demo, name), (f"demo.{name}", f"demo.{name}"))


def demo_url(port: int) -> str:
    """The URL of a demo upstream."""
    return f"http://127.0.0.1:{port}"


def control_url(settings: Settings) -> str:
    """The URL on which the second demo upstream is made to fail."""
    return f"http://127.0.0.1:{settings.demo.control_port}/control"


def report(state: str, name: str, text: str) -> None:
    """Print the state of a part in one line."""
    write(f"{state:4}  {name:6}  {text}")


def write(*lines: str) -> None:
    """Print lines and flush, also into a pipe."""
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
