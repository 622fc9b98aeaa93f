"""The options that make mitmproxy's core fit for a gateway."""

from pathlib import Path

from mitmproxy.addons.proxyserver import Proxyserver

from mitm_addons.stock.dispatch import Dispatcher
from mitm_addons.stock.master import make_master
from shared.settings import load_settings


async def test_the_options_that_must_hold_do(tmp_path: Path) -> None:
    settings = load_settings(environ={"GATEWAY__LIMITS__RESPONSE_BODY": "60MB"})
    options = make_master(settings, tmp_path, Proxyserver(), Dispatcher([])).options
    assert options.keep_host_header is True
    assert options.connection_strategy == "lazy"
    assert options.mode == ["reverse:http://gateway.invalid:80@127.0.0.1:8081"]
    assert (options.http2, options.http3, options.rawtcp, options.websocket) == (False,) * 4
    assert options.validate_inbound_headers is True
    assert options.store_streamed_bodies is False
    assert options.stream_large_bodies is None
    assert options.body_size_limit == str(60 * 1024 * 1024)
    assert options.confdir == str(tmp_path)


async def test_each_address_of_the_proxy_is_listened_on(tmp_path: Path) -> None:
    environ = {"GATEWAY__SERVER__PROXY_PORT": "9000"}
    for hosts, expected in (("127.0.0.1,::1", ["127.0.0.1:9000", "::1:9000"]), ("::", [":9000"])):
        settings = load_settings(environ={**environ, "GATEWAY__SERVER__PROXY_HOST": hosts})
        modes = make_master(settings, tmp_path, Proxyserver(), Dispatcher([])).options.mode
        assert modes == [f"reverse:http://gateway.invalid:80@{address}" for address in expected]


async def test_master_loads_only_the_addons_that_it_needs(tmp_path: Path) -> None:
    master = make_master(load_settings(environ={}), tmp_path, Proxyserver(), Dispatcher([]))
    assert [type(addon).__name__ for addon in master.addons.chain] == [
        "Proxyserver",
        "NextLayer",
        "Dispatcher",
        "PostResponse",
    ]
