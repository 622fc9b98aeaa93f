"""Listening sockets, and what is said when there can be none."""

import contextlib
import socket
import threading

import pytest

from shared.core.errors import CannotListen
from shared.core.process.listening import open_listener
from shared.settings.listen import PROXY, check_listen, naming_settings


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ("no-such-name.invalid", r"^Cannot listen on no-such-name\.invalid:0: [A-Z].+\.$"),
        ("192.0.2.1", r"^Cannot listen on 192\.0\.2\.1:0: Cannot assign requested address\.$"),
        ("[2001:db8::1]", r"^Cannot listen on \[2001:db8::1\]:0: .+\.$"),
        ("a..b", r"^Cannot listen on a\.\.b:0: .+\.$"),
    ],
)
def test_address_that_is_not_ours_is_told_with_its_cause(host: str, told: str) -> None:
    with pytest.raises(CannotListen, match=told) as raised:
        open_listener(host, 0)
    assert raised.value.is_address


def test_port_in_use_is_told_with_its_setting_and_another_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        sentence = (
            f"Cannot listen on 127.0.0.1:{port}: Address already in use. Set server.proxy_port "
            "(GATEWAY__SERVER__PROXY_PORT) to a free port"
        )
        with pytest.raises(CannotListen) as raised:
            check_listen("127.0.0.1", port, PROXY)
        assert str(raised.value) == f"{sentence}."
        with pytest.raises(CannotListen) as raised, naming_settings(PROXY, ", or go"):
            open_listener("127.0.0.1", port, tries=2)
        assert str(raised.value) == f"{sentence}, or go."


def test_wrong_address_is_told_with_the_setting_of_the_host() -> None:
    with pytest.raises(CannotListen, match="to an address of this machine"):
        check_listen("192.0.2.1", 1, PROXY)


def test_port_that_becomes_free_meanwhile_is_opened() -> None:
    with contextlib.ExitStack() as stack:
        taken = socket.create_server(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        threading.Timer(0.05, taken.close).start()
        stack.enter_context(open_listener("127.0.0.1", port, tries=50))
        socket.create_connection(("127.0.0.1", port), 5).close()
