"""Runs a gateway on this machine until Ctrl-C: store, admin API, proxy and demo upstream.

`scripts/run_local.sh` starts it. Everything that it starts ends with it, even after kill -9.
"""

import argparse
import errno
import signal
import socket
import sys
import threading
from contextlib import closing

from scripts.demo import Api, DemoFailed, curl_lines, demo_key, free_subdomain
from scripts.parts import Part, PartFailed, Running, running
from shared.core.errors import StoreDown
from shared.redis_server.choose import open_redis
from shared.settings import Settings, load_settings_or_exit

#: Time for a part to become ready. Importing an uncompiled mitmproxy alone takes 10 s.
READY_TIMEOUT_SECONDS = 60.0
_ANY = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "127.0.0.1": "localhost"}


def main() -> None:
    """Start all parts, print their state and example calls, and wait."""
    parser = argparse.ArgumentParser(prog="run_local.sh", description="Run the gateway on this machine.")
    parser.add_argument("--no-demo", action="store_true", help="leave the store empty")
    create = not parser.parse_args().no_demo
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: stopping.set())
    settings = load_settings_or_exit()
    check_ports(settings)
    try:
        with closing(open_redis(settings)) as store:
            report("ok", "store", store.name)
            settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            with running(parts(settings), settings.data_dir, stopping) as started:
                serve(started, settings, create=create)
    except StoreDown as error:
        report("FAIL", "store", str(error))
        sys.exit(1)
    except PartFailed as error:
        report("FAIL", error.part.name, str(error))
        sys.exit(1)


def serve(started: Running, settings: Settings, *, create: bool) -> None:
    """Report each part when it is ready, print example calls, and wait for a signal to stop."""
    urls = {"demo": demo_url(settings), "admin": admin_url(settings), "proxy": proxy_url(settings)}
    for part in started.wait_until_ready(READY_TIMEOUT_SECONDS):
        report("ok", part.name, urls.get(part.name, part.ready))
    if started.stopping.is_set():
        return
    show(settings, create=create)
    write("Ctrl-C stops everything.")
    started.wait()


def parts(settings: Settings) -> list[Part]:
    """The programs, with the commands that start them by hand."""
    return [
        Part(
            "demo",
            [sys.executable, "-m", "examples.demo_upstream", "--port", str(settings.demo.port)],
            f"{demo_url(settings)}/healthz",
        ),
        Part("admin", [sys.executable, "-m", "gunicorn", "wsgi:app"], f"{admin_url(settings)}/readyz"),
        Part("proxy", [sys.executable, "run_proxy.py"], f"{proxy_url(settings)}/__/ready"),
    ]


def show(settings: Settings, *, create: bool) -> None:
    """Create the demo tenant in an empty store, and print addresses and example calls."""
    admin, token = admin_url(settings), settings.admin.token
    api = Api(admin, token)
    write("", f"API docs  {admin}/docs", f"Logs      {settings.data_dir}/{{admin,proxy,demo}}.log", "")
    try:
        key = demo_key(api, settings, create=create)
        if key is None:
            write("There is no tenant `demo`. Only an empty store gets one at startup, without --no-demo.")
            return
        subdomain = free_subdomain(api)
    except DemoFailed as error:
        report("FAIL", "demo tenant", str(error))
        return
    for text, call in curl_lines(admin, proxy_url(settings), key, subdomain, token=token is not None):
        write(text, call, "")


def check_ports(settings: Settings) -> None:
    """Exit with a message when a port cannot be used."""
    server = settings.server
    for name, host, port in (
        *(("server.admin_port", host, server.admin_port) for host in server.admin_host),
        *(("server.proxy_port", host, server.proxy_port) for host in server.proxy_host),
        ("demo.port", "127.0.0.1", settings.demo.port),
    ):
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            socket.create_server((host, port), family=family, dualstack_ipv6=host == "::").close()
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            problem = "is in use" if taken else f"cannot be used on {host}: {error.strerror}"
            variable = f"GATEWAY__{name.upper().replace('.', '__')}"
            sys.exit(
                f"Port {port} {problem}. Set {name} in config.yaml, or variable {variable}, to a free port."
            )


def admin_url(settings: Settings) -> str:
    """The URL of the admin API from this machine."""
    return f"http://{_from_here(settings.server.admin_host[0])}:{settings.server.admin_port}"


def proxy_url(settings: Settings) -> str:
    """The URL of the proxy from this machine."""
    scheme = "https" if settings.server.tls.files else "http"
    return f"{scheme}://{_from_here(settings.server.proxy_host[0])}:{settings.server.proxy_port}"


def demo_url(settings: Settings) -> str:
    """The URL of the demo upstream."""
    return f"http://127.0.0.1:{settings.demo.port}"


def _from_here(host: str) -> str:
    return _ANY.get(host, f"[{host}]" if ":" in host else host)


def report(state: str, name: str, text: str) -> None:
    """Print the state of a part in one line."""
    write(f"{state:4}  {name:6}  {text}")


def write(*lines: str) -> None:
    """Print lines and flush, also into a pipe."""
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
