"""The settings of the addresses where the programs listen, and what to change when one cannot be used."""

from collections.abc import Iterator
from contextlib import contextmanager

from shared.core.errors import CannotListen
from shared.core.process.listening import open_listener
from shared.settings.sources import variable

#: The settings of a program's hosts, and of its port.
ADMIN = "server.admin_host", "server.admin_port"
PROXY = "server.proxy_host", "server.proxy_port"
METRICS, ADMIN_METRICS = ("metrics.host", "metrics.port"), ("metrics.host", "metrics.admin_api_port")


@contextmanager
def naming_settings(settings: tuple[str, str], otherwise: str = "") -> Iterator[None]:
    """Add to a `CannotListen` which of the `settings` to change, and how.

    `otherwise` is another way out when the port is in use, such as " or …".
    """
    try:
        yield
    except CannotListen as error:
        setting = settings[0] if error.is_address else settings[1]
        value = "an address of this machine" if error.is_address else f"a free port{otherwise}"
        raise CannotListen(
            f"{error} Set {setting} ({variable(setting)}) to {value}.", is_address=error.is_address
        ) from None


def check_listen(host: str, port: int, settings: tuple[str, str], *, tries: int = 1) -> None:
    """Raise `CannotListen`, which names the one of the `settings` to change, when no socket can listen there.

    A port in use is tried `tries` times, ten times per second.
    """
    with naming_settings(settings):
        open_listener(host, port, tries=tries).close()
