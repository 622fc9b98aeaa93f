"""Where the programs of this machine listen, whether they can, and whether they are ready.

``python -m shared.settings.probe admin`` ends with 0 when the admin API is ready, otherwise with 1 and the
reason; ``proxy`` asks the proxy. The health checks of docker-compose.yaml call it.
"""

import errno
import http.client
import socket
import ssl
import sys
import time
from urllib.parse import urlsplit

from shared.core.errors import CannotListen
from shared.http.readiness import READY
from shared.settings import Settings, load_settings_or_exit

#: The settings of a program's hosts, and of its port.
ADMIN = "server.admin_host", "server.admin_port"
PROXY = "server.proxy_host", "server.proxy_port"

_PAUSE = 0.1  # seconds between two tries
# The fault of the host, not of the port.
_HOST_ERRORS = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EINVAL)
_TIMEOUT = 3.0  # seconds
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


def check_listen(host: str, port: int, settings: tuple[str, str], *, tries: int = 1) -> None:
    """Raise `CannotListen`, which names the one of the `settings` to change, when no socket can listen there.

    A port in use is tried again ten times per second: workers of a killed program hold it for a moment.
    """
    try:
        _listen(host, port)
    except OSError as error:
        is_taken = error.errno == errno.EADDRINUSE
        if is_taken and tries > 1:
            time.sleep(_PAUSE)
            check_listen(host, port, settings, tries=tries - 1)
            return
        problem = (
            f"Port {port} is in use" if is_taken else f"Cannot listen on {host}:{port}: {error.strerror}"
        )
        is_host = isinstance(error, socket.gaierror) or error.errno in _HOST_ERRORS
        setting, value = settings[not is_host], "an address of this machine" if is_host else "a free port"
        variable = f"GATEWAY__{setting.upper().replace('.', '__')}"
        raise CannotListen(f"{problem}. Set {setting} ({variable}) to {value}.") from None


def _listen(host: str, port: int) -> None:
    is_ipv6 = ":" in host
    with socket.socket(socket.AF_INET6 if is_ipv6 else socket.AF_INET) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_ipv6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, host != "::")
        listener.bind((host, port))
        listener.listen()


def trouble(program: str, settings: Settings) -> str | None:
    """Why the program is not ready; None when it is. The environment's proxies are not used."""
    address = urlsplit(ready_url(program, settings))
    if address.scheme == "https":
        context = ssl._create_unverified_context()  # noqa: S323 -- the certificate is for tenants' hosts
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            address.netloc, timeout=_TIMEOUT, context=context
        )
    else:
        connection = http.client.HTTPConnection(address.netloc, timeout=_TIMEOUT)
    try:
        connection.request("GET", address.path)
        response = connection.getresponse()
        text = response.read().decode(errors="replace").strip()
    except (OSError, http.client.HTTPException) as error:
        return f"{program} does not respond at {address.netloc}: {error}"
    finally:
        connection.close()
    return None if response.status == 200 else f"{program} is not ready: {response.status} {text}"


def main(program: str) -> None:
    """Exit with the reason when the program is not ready."""
    sys.exit(trouble(program, load_settings_or_exit()))


if __name__ == "__main__":
    if sys.argv[1:] not in (["admin"], ["proxy"]):
        sys.exit("Usage: python -m shared.settings.probe admin|proxy")
    main(sys.argv[1])
