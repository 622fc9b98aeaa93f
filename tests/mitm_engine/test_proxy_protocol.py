"""A load balancer names its client in a header of the PROXY protocol v2. Nobody else may, and no byte is guessed."""

import asyncio
import logging
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mitm_engine import engine
from mitm_engine.options import Options, Timeouts
from mitm_engine.proxy_protocol import MAX_HEADER, BadHeader, Peer, parse_header
from tests.mitm_engine.world import World, world
from tests.support.certificates import Authority
from tests.support.client import request, tls_client
from tests.support.proxy_header import LOCAL, SIGNATURE, header, tlv
from tests.support.wait import until_true

HERE, ELSEWHERE = (ip_network("127.0.0.0/8"),), (ip_network("10.0.0.0/8"),)
ON = Options(balancers=HERE, drain_timeout=0.2)


def parse(data: bytes) -> Peer | None:
    return parse_header(data[:16], data[16:])


ADDRESSES = st.ip_addresses().filter(lambda found: not (found.is_unspecified or found.is_multicast))
TLVS = st.lists(st.builds(tlv, st.integers(0, 255), st.binary(max_size=99)), max_size=4).map(b"".join)


@given(ADDRESSES, st.integers(0, 65535), TLVS)
def test_header_names_its_client_whatever_follows_the_addresses(
    address: object, port: int, tlvs: bytes
) -> None:
    data = header(str(address), port, tlvs)
    assert parse(data) == (str(address), port)
    for end in range(len(data)):
        with pytest.raises(BadHeader):
            parse(data[:end])
    with pytest.raises(BadHeader):
        parse(data + b"\0")


@given(st.binary(max_size=300), st.sampled_from([b"", SIGNATURE, SIGNATURE + b"\x21"]))
def test_other_bytes_are_rejected_as_bytes_without_a_client_are(rest: bytes, start: bytes) -> None:
    try:
        found = parse(start + rest)
    except BadHeader:
        return
    assert found is None or (start + rest)[16:].startswith(ip_address(found[0]).packed)


@given(TLVS)
def test_header_of_the_balancer_itself_names_nobody_whatever_it_holds(rest: bytes) -> None:
    assert parse(LOCAL[:14] + len(rest).to_bytes(2) + rest) is None


V4 = header("192.0.2.7")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"PROXY TCP4 192.0.2.7 192.0.2.8 1 2\r\n", id="version 1"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", id="a request"),
        pytest.param(V4[:12] + b"\x11" + V4[13:], id="version 1 in the header"),
        pytest.param(V4[:12] + b"\x22" + V4[13:], id="an unknown command"),
        pytest.param(V4[:13] + b"\x00" + V4[14:], id="an unknown family"),
        pytest.param(V4[:13] + b"\x12" + V4[14:], id="UDP"),
        pytest.param(V4[:13] + b"\x31" + V4[14:], id="a unix socket"),
        pytest.param(V4[:13] + b"\x21" + V4[14:], id="IPv6 in twelve bytes"),
        pytest.param(V4[:14] + b"\0\x0b" + V4[16:-1], id="addresses cut short"),
        pytest.param(header("192.0.2.7", tlvs=b"\x01\0"), id="a TLV without its length"),
        pytest.param(header("192.0.2.7", tlvs=b"\x01\0\x05abcd"), id="a TLV longer than the header"),
        pytest.param(header("192.0.2.7", tlvs=tlv(4, bytes(MAX_HEADER))), id="a header without a bound"),
        pytest.param(header("0.0.0.0"), id="no address"),
        pytest.param(header("224.0.0.1"), id="a group"),
        pytest.param(header("::"), id="no IPv6 address"),
    ],
)
def test_header_that_could_be_read_in_two_ways_is_rejected(data: bytes) -> None:
    with pytest.raises(BadHeader):
        parse(data)


def peer(w: World) -> str:
    """The address of the client of the last flow."""
    found = w.recorder.last().client_conn.peername
    assert found is not None
    return str(found[0])


@pytest.mark.parametrize("size", [1, 15, 16, 30, 1000])
async def test_client_of_a_balancer_has_its_own_address_at_every_cut(size: int) -> None:
    raw = header("2001:db8::7", 40000, tlv(4, bytes(9))) + request("/first")
    async with world(options=ON) as w:
        client = await w.client()
        for start in range(0, len(raw), size):
            await client.send(raw[start : start + size])
        assert (await client.response()).status == 200
        assert (await client.ask("/second")).status == 200
        assert [flow.client_conn.peername for flow in w.recorder.flows] == [("2001:db8::7", 40000)] * 2


async def test_health_check_of_a_balancer_has_the_address_of_its_socket() -> None:
    async with world(options=ON) as w:
        assert (await (await w.client(LOCAL)).ask()).status == 200
        assert peer(w) == "127.0.0.1"


async def test_probe_of_this_machine_is_served_also_if_it_may_not_name_clients() -> None:
    async with world(options=Options(balancers=ELSEWHERE, drain_timeout=0.2)) as w:
        assert (await (await w.client(LOCAL)).ask()).status == 200
        assert peer(w) == "127.0.0.1"


@pytest.mark.parametrize("beginning", [b"", b"PROXY TCP4 192.0.2.7 192.0.2.8 1 2\r\n"], ids=["none", "v1"])
async def test_client_without_a_header_is_told_to_call_the_balancer(
    beginning: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        async with world(options=ON) as w:
            for _ in range(2):
                response = await (await w.client(beginning)).ask()
                assert response.status == 400
                assert b"Call the load balancer" in response.body
            assert w.engine.metrics.closed["proxy_protocol"] == 2
            assert not w.recorder.flows
    assert [record.getMessage() for record in caplog.records] == [
        "A connection was rejected, because server.proxy_protocol is v2: "
        "The connection does not begin with a header of the PROXY protocol v2."
    ]


async def test_client_that_nobody_trusts_cannot_name_another_address() -> None:
    async with world(options=Options(balancers=ELSEWHERE, drain_timeout=0.2)) as w:
        assert (await (await w.client(header("192.0.2.7"))).ask()).status == 400
        assert not w.recorder.flows


@pytest.mark.parametrize("second", [header("198.51.100.9"), LOCAL])
async def test_second_header_is_not_read_as_one(second: bytes) -> None:
    async with world(options=ON) as w:
        client = await w.client(header("192.0.2.7"))
        assert (await client.ask("/first")).status == 200
        await client.send(second + request("/second"))
        assert (await client.response()).status == 400
        assert len(w.recorder.flows) == 1


async def test_connection_begins_with_a_header_only_if_that_is_on() -> None:
    async with world() as w:
        assert (await (await w.client(header("192.0.2.7"))).ask()).status == 400
        assert not w.recorder.flows


async def test_connection_whose_header_does_not_come_is_closed() -> None:
    options = Options(balancers=HERE, drain_timeout=0.2, timeouts=Timeouts(head=0.05))
    async with world(options=options) as w:
        assert await (await w.client(V4[:20])).ended() == b""
        await w.quiet()


async def test_connection_that_ends_in_its_header_leaves_nothing() -> None:
    async with world(options=ON) as w:
        client = await w.client(V4[:20])
        await until_true(lambda: w.engine.connections == 1)
        client.close()
        await w.quiet()


async def test_connections_that_wait_for_their_header_count_for_the_limit() -> None:
    async with world(options=Options(balancers=HERE, connections=2, drain_timeout=0.2)) as w:
        for _ in range(2):
            await w.client()
        await until_true(lambda: w.engine.connections == 2)
        assert await (await w.client(V4)).ended() == b""
        assert w.engine.metrics.closed["full"] == 1


async def test_drain_ends_a_connection_that_waits_for_its_header(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "LAST_REQUEST", 0.05)
    async with world(options=ON) as w:
        client = await w.client(V4[:20])
        await until_true(lambda: w.engine.connections == 1)
        await w.engine.drain()
        assert await client.ended() == b""


async def test_header_comes_before_the_tls_handshake(tmp_path: Path) -> None:
    Authority(tmp_path).server_context("localhost")
    pair = tmp_path / "localhost.pem"
    async with world(options=Options(balancers=HERE, tls=(pair, pair), drain_timeout=0.2)) as w:
        with await asyncio.to_thread(tls_client, w.port, header("192.0.2.7")) as client:
            client.sendall(request("/", "GET", b"", "Connection: close"))
            assert (await asyncio.to_thread(client.recv, 100)).startswith(b"HTTP/1.1 200")
        assert peer(w) == "192.0.2.7"
        # Without a header nothing is answered: it could not be read.
        assert await (await w.client(request())).ended() == b""
