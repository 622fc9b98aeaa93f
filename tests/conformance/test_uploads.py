"""A request body that no plugin reads flows to the upstream; one that a plugin reads waits for its end."""

import contextlib
import http.client
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.conftest import REQUEST_BODY
from tests.conformance.differences import instead
from tests.conformance.test_early_responses import MEGABYTE, uploaded
from tests.conformance.wire import HELD, PATH, Wire, is_ours
from tests.support.client import RawClient
from tests.support.packages import need_command
from tests.support.upstream import CHUNKED, Action, Peer, chunk, close, hang, send, sized
from tests.support.wait import until

FLOWS = "an upload that flows to its upstream"
EARLY = "a response of the upstream during an upload"
LATE = "a 413 for a client that reads late"
LONG = 10 * MEGABYTE
REJECTION = sized(b"no", "401 Unauthorized", "Connection: close")

framings = pytest.mark.parametrize(
    ("framing", "framed"),
    [
        pytest.param(f"Content-Length: {LONG}", lambda piece: piece, id="sized"),
        pytest.param("Transfer-Encoding: chunked", chunk, id="chunked"),
    ],
)


def reached(wire: Wire, data: bytes, seconds: float = 3.0) -> bool:
    return any(data in wire.upstream.raw for _ in until(seconds))


@framings
@pytest.mark.parametrize("path", [PATH, HELD])
def test_body_reaches_its_upstream_as_it_comes_unless_a_plugin_reads_it(
    wire: Wire, path: str, framing: str, framed: Callable[[bytes], bytes]
) -> None:
    client = wire.client(wire.head("POST", path, framing.replace(str(LONG), "11")), framed(b"first"))
    if path == HELD or instead(wire.engine, FLOWS):
        assert not reached(wire, b"POST", 0.2)
    else:
        assert reached(wire, b"first")
    client.send(framed(b"second"), *[b"0\r\n\r\n"] * (framed is chunk))
    assert client.response().status == 200
    assert [seen.body for seen in wire.upstream.received] == [b"firstsecond"]
    assert client.ask(wire.head()).status == 200


def test_first_byte_of_an_upload_reaches_its_upstream_at_once(wire: Wire) -> None:
    assert wire.ask(wire.post(b"warm")).status == 200
    delays = []
    for number in range(5):
        client, mark = wire.client(), b"mark-%d" % number
        begun = time.monotonic()
        client.send(wire.head("POST", PATH, f"Content-Length: {LONG}") + mark)
        if instead(wire.engine, FLOWS):
            assert not reached(wire, mark, 0.1)
            return
        assert reached(wire, mark)
        delays.append(time.monotonic() - begun)
        client.close()
    print(f"\nfirst byte upstream after {min(delays) * 1000:.1f} ms")


async def some(peer: Peer) -> None:
    """Read no more than the beginning of the body, which may have come with the head."""
    if not peer.buffer:
        await peer.fill()


async def read_on(peer: Peer) -> None:
    await peer.until_gone()


@framings
@pytest.mark.parametrize("end", [close, read_on], ids=["closes", "reads on"])
def test_rejection_of_an_upstream_during_an_upload_reaches_the_client(
    wire: Wire, framing: str, framed: Callable[[bytes], bytes], end: Action
) -> None:
    """Also a client that reads only after it has sent everything, and an upstream that closes with data unread."""
    for _ in range(5):
        wire.upstream.plays([Peer.head, some, send(REJECTION), end])
        client = wire.client(wire.head("POST", PATH, framing))
        client.send(*[framed(b"x" * MEGABYTE)] * (LONG // MEGABYTE), *[b"0\r\n\r\n"] * (framed is chunk))
        response = client.response()
        assert (response.status, response.body) == (401, b"no")
        assert response.get("x-gateway-error-source") == "upstream"
        wire.upstream.forget()


def test_response_that_begins_during_an_upload_passes_at_once(wire: Wire) -> None:
    async def rest(peer: Peer) -> None:
        await peer.write(chunk(await peer.exactly(6)) + b"0\r\n\r\n")

    wire.upstream.plays([Peer.head, some, send(CHUNKED + chunk(b"begun")), rest])
    client = wire.client(wire.head("POST", PATH, "Content-Length: 6"), b"abc")
    if instead(wire.engine, EARLY):
        assert client.is_silent(0.2)
    else:
        assert client.head().status == 200
        assert client.chunk() == b"begun"
        client.send(b"def")
        assert client.chunk() == b"abcdef"


@pytest.mark.parametrize("leave", [RawClient.close, RawClient.reset], ids=["closing", "resetting"])
@framings
def test_client_that_leaves_during_its_upload_closes_its_upstream(
    wire: Wire, leave: Callable[[RawClient], None], framing: str, framed: Callable[[bytes], bytes]
) -> None:
    if not instead(wire.engine, FLOWS):
        wire.upstream.plays([Peer.head, hang])
    client = wire.client(wire.head("POST", PATH, framing), framed(b"x" * MEGABYTE))
    if instead(wire.engine, FLOWS):
        leave(client)
        wire.nothing_reached_the_upstream()
        return
    assert reached(wire, b"x" * 1000)
    leave(client)
    assert wire.upstream.peers[0].ended.wait(1.0)
    assert not wire.upstream.raw.endswith(b"0\r\n\r\n")


@framings
def test_upstream_that_closes_during_an_upload_is_a_502(
    wire: Wire, framing: str, framed: Callable[[bytes], bytes]
) -> None:
    wire.upstream.plays([Peer.head, some, close])
    client = wire.client(wire.head("POST", PATH, framing))
    client.send(*[framed(b"x" * MEGABYTE)] * (LONG // MEGABYTE), *[b"0\r\n\r\n"] * (framed is chunk))
    is_ours(client.response(), 502, "upstream_protocol_error")
    assert len(wire.upstream.received) == 1


def test_upload_above_the_limit_ends_both_connections(wire: Wire) -> None:
    client = wire.client()
    head = wire.head("POST", PATH, "Transfer-Encoding: chunked")
    is_ours(uploaded(client, head, REQUEST_BODY // MEGABYTE + 5, chunked=True), 413, "body_too_large")
    if not instead(wire.engine, FLOWS):
        assert wire.upstream.peers[0].ended.wait(5.0)  # it has to read what is on its way
    assert b"\r\n0\r\n\r\n" not in wire.upstream.raw


def test_expectation_is_met_once_the_upstream_is_connected(wire: Wire) -> None:
    for path, status in ((PATH, 100), ("/unreachable", 502)):
        if status == 502 and instead(wire.engine, FLOWS):
            return
        client = wire.client(wire.head("POST", path, "Content-Length: 5", "Expect: 100-continue"))
        assert client.head().status == status
        if status == 100:
            assert client.ask(b"hello").status == 200


def test_old_client_may_upload(wire: Wire) -> None:
    client = wire.client(wire.head("POST", PATH, "Content-Length: 10", version="1.0"), b"hello")
    assert instead(wire.engine, FLOWS) or reached(wire, b"hello")
    client.send(b"world")
    assert client.response().status == 200
    assert wire.upstream.received[0].body == b"helloworld"


def test_slow_upload_is_cut_off_with_its_upstream(short: Wire) -> None:
    client = short.client(short.head("POST", PATH, "Content-Length: 100000"), b"x")
    if instead(short.engine, "slow clients"):
        assert client.is_silent(0.2)
        return
    is_ours(client.response(), 408, "request_timeout")
    assert short.upstream.peers[0].ended.wait(1.0)


@pytest.mark.parametrize("framing", ["sized", "chunked"])
def test_late_reader_of_a_413_with_a_valid_key_gets_it(wire: Wire, framing: str) -> None:
    """It sends 30 MB before it reads, as urllib does, and takes a broken pipe for a failure."""
    headers = {"Host": wire.tenant.host, "Authorization": f"Bearer {wire.tenant.key}"}
    body: Any = bytes(30 * MEGABYTE) if framing == "sized" else [bytes(MEGABYTE)] * 30
    for _ in range(5 if framing == "sized" else 2):
        seconds = 0.5 if instead(wire.engine, LATE) else 20
        connection = http.client.HTTPConnection("127.0.0.1", wire.gateway.proxy_port, timeout=seconds)
        with contextlib.closing(connection):
            if instead(wire.engine, LATE):
                with contextlib.suppress(OSError):
                    connection.request("POST", PATH, body, headers)
                    assert connection.getresponse().status == 413
                return
            connection.request("POST", PATH, body, headers)
            response = connection.getresponse()
            assert (response.status, b"body_too_large" in response.read()) == (413, True)
        sent = body if framing == "sized" else iter(body)
        assert wire.tenant.request("POST", PATH, data=sent).status_code == 413


_NODE = """
const [url, key, count] = process.argv.slice(1);
const body = Buffer.alloc(30 * 1024 * 1024);
(async () => {
  for (let i = 0; i < Number(count); i++) {
    const response = await fetch(url, {method: "POST", body, headers: {"x-api-key": key}});
    const {error} = await response.json();
    console.log(response.status, error.code);
  }
})().catch((error) => { console.log(String(error), error.cause); process.exit(1); });
"""
_GO = """
package main

import ("bytes"; "fmt"; "io"; "net/http"; "os")

func main() {
	for i := 0; i < 5; i++ {
		request, _ := http.NewRequest("POST", os.Args[1], bytes.NewReader(make([]byte, 30<<20)))
		request.Header.Set("x-api-key", os.Args[2])
		response, err := http.DefaultClient.Do(request)
		if err != nil { fmt.Println(err); os.Exit(1) }
		body, _ := io.ReadAll(response.Body)
		if !bytes.Contains(body, []byte("body_too_large")) { os.Exit(1) }
		fmt.Println(response.StatusCode, "body_too_large")
	}
}
"""


@pytest.mark.slow
@pytest.mark.parametrize("client", ["node", "go"])
def test_413_of_a_large_upload_reaches_clients_of_other_languages(
    wire: Wire, client: str, tmp_path: Path
) -> None:
    url = f"http://127.0.0.1:{wire.gateway.proxy_port}{PATH}"
    if client == "node":
        command = [need_command("node", "nodejs"), "-e", _NODE, url, wire.tenant.key, "5"]
    else:
        file = tmp_path / "main.go"
        file.write_text(_GO)
        command = [need_command("go", "golang-go"), "run", str(file), url, wire.tenant.key]
    if instead(wire.engine, LATE):
        return  # the clients above show what happens there
    environment = {**os.environ, "GOCACHE": str(tmp_path / "cache"), "GOFLAGS": "-mod=mod"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, cwd=tmp_path)
    assert done.stdout.splitlines() == ["413 body_too_large"] * 5, done.stdout + done.stderr
