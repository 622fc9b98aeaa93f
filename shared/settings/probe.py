"""The URLs of the programs of this machine, and whether the programs are ready.

``python -m shared.settings.probe admin`` ends with 0 when the admin API is ready, otherwise with 1 and the
reason; ``proxy`` asks the proxy. The health checks of docker-compose.yaml call it.
"""

import http.client
import socket
import ssl
import sys
from urllib.parse import SplitResult, urlsplit

from shared.http.readiness import READY
from shared.settings import Settings, load_settings_or_exit
from shared.settings.sections import PROXY_V2

_TIMEOUT = 3.0  # seconds
# PROXY protocol v2: the command LOCAL. The connection is this machine's own.
_LOCAL = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"
_FROM_HERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "127.0.0.1": "localhost"}


def admin_url(settings: Settings) -> str:
    """The URL of the admin API from this machine."""
    return f"http://{_from_here(settings.server.admin_host[0])}:{settings.server.admin_port}"


def proxy_url(settings: Settings) -> str:
    """The URL of the proxy from this machine."""
    scheme = "https" if settings.server.tls.files else "http"
    return f"{scheme}://{_from_here(settings.server.proxy_host[0])}:{settings.server.proxy_port}"


def _from_here(host: str) -> str:
    return _FROM_HERE.get(host, f"[{host}]" if ":" in host else host)


def ready_url(program: str, settings: Settings) -> str:
    """The URL that returns 200 when the program, ``admin`` or ``proxy``, is ready."""
    url = admin_url(settings) if program == "admin" else proxy_url(settings)
    return url + READY


def beginning_of(program: str, settings: Settings) -> bytes:
    """The bytes with which a connection to the program begins: a header of the PROXY protocol, or nothing."""
    return _LOCAL if program == "proxy" and settings.server.proxy_protocol == PROXY_V2 else b""


def trouble(program: str, settings: Settings) -> str | None:
    """Why the program is not ready; None when it is. The environment's proxies are not used."""
    url = ready_url(program, settings)
    try:
        status, text = ask(url, beginning_of(program, settings))
    except (OSError, http.client.HTTPException) as error:
        return f"{program} does not respond at {urlsplit(url).netloc}: {error}"
    return None if status == 200 else f"{program} is not ready: {status} {text}"


def is_ready(url: str, beginning: bytes = b"") -> bool:
    """Whether the program that responds at this URL is ready. `beginning` is as in `beginning_of`."""
    try:
        return ask(url, beginning)[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def ask(url: str, beginning: bytes) -> tuple[int, str]:
    """Status and text of a GET, with any certificate. Raises OSError and `http.client.HTTPException`."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.netloc, timeout=_TIMEOUT)
    try:
        connection.sock = _connect(address, beginning)
        connection.request("GET", address.path)
        response = connection.getresponse()
        return response.status, response.read().decode(errors="replace").strip()
    finally:
        connection.close()


def _connect(address: SplitResult, beginning: bytes) -> socket.socket:
    """A connection that begins with these bytes, before TLS."""
    connected = socket.create_connection((address.hostname, address.port), _TIMEOUT)
    try:
        connected.sendall(beginning)
        if address.scheme != "https":
            return connected
        context = ssl._create_unverified_context()  # noqa: S323 -- the certificate is for tenants' hosts
        return context.wrap_socket(connected, server_hostname=address.hostname)
    except OSError:
        connected.close()
        raise


def main(program: str) -> None:
    """Exit with the reason when the program is not ready."""
    sys.exit(trouble(program, load_settings_or_exit()))


if __name__ == "__main__":
    if sys.argv[1:] not in (["admin"], ["proxy"]):
        sys.exit("Usage: python -m shared.settings.probe admin|proxy")
    main(sys.argv[1])
