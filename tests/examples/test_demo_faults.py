"""The demo upstream fails as it is told to, and is well again."""

import contextlib
import http.client
import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest
import requests

from examples.demo_upstream import faults
from examples.demo_upstream.control import DemoControl
from tests.support.commands import serving

HELLO = [{"role": "user", "content": "Hello there!"}]
CHAT: dict[str, Any] = {"model": "demo-small", "messages": HELLO}
REPLY = "You said: Hello there!"
PATHS = {"chat": "/v1/chat/completions", "responses": "/v1/responses", "messages": "/v1/messages"}


class Failing:
    """An upstream with its control."""

    def __init__(self, port: int, control: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.control = f"http://127.0.0.1:{control}/control"

    def fail(self, **fault: Any) -> None:
        response = requests.put(self.control, json=fault, timeout=5)
        assert response.status_code == 200, response.text

    def recover(self) -> None:
        assert requests.delete(self.control, timeout=5).json()["fault"] is None

    def state(self) -> Any:
        return requests.get(self.control, timeout=5).json()

    def ask(self, path: str = "chat", key: str = "none", **more: Any) -> requests.Response:
        """One call, without a retry."""
        body = {**CHAT, "input": HELLO, "max_tokens": 100, **more}
        return requests.post(
            self.url + PATHS[path], json=body, headers={"Authorization": f"Bearer {key}"}, timeout=5
        )

    def connection(self, **more: Any) -> http.client.HTTPConnection:
        """A connection on which a call was sent."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=0.3)
        connection.request("POST", PATHS["chat"], json.dumps({**CHAT, **more}))
        return connection


def read(response: http.client.HTTPResponse, got: bytearray) -> None:
    """Add what comes to `got`, to the end of the response."""
    while piece := response.read1(1):
        got += piece


@pytest.fixture(scope="module")
def server() -> Iterator[Failing]:
    control = DemoControl(0)
    with serving(control) as port:
        yield Failing(control.upstream.port, port)


@pytest.fixture
def failing(server: Failing) -> Iterator[Failing]:
    yield server
    server.recover()


def test_each_fault_of_the_page_can_be_set_and_removed(failing: Failing) -> None:
    rows = re.findall(r"^\| `(\w+)`", str(faults.__doc__), re.MULTILINE)
    assert len(rows) == 10
    for name in rows:
        failing.fail(fail=name)
        assert failing.state()["fault"]["fail"] == name
        failing.recover()
        assert failing.ask().json()["choices"][0]["message"]["content"] == REPLY


@pytest.mark.parametrize("status", faults.STATUSES.values())
def test_status_comes_with_an_error_in_the_shape_of_each_api(failing: Failing, status: int) -> None:
    failing.fail(fail=str(status), retry_after="7")
    chat, message = failing.ask(), failing.ask("messages", stream=True)
    assert [chat.status_code, message.status_code] == [status, status]
    assert chat.headers["Retry-After"] == "7"
    assert chat.json()["error"]["code"]
    assert message.json()["type"] == "error"


def test_sdks_raise_their_own_errors(failing: Failing) -> None:
    failing.fail(fail=429)
    with (
        openai.OpenAI(base_url=f"{failing.url}/v1", api_key="none", max_retries=0) as client,
        pytest.raises(openai.RateLimitError),
    ):
        client.chat.completions.create(**CHAT)
    failing.fail(fail="529")
    with (
        anthropic.Anthropic(base_url=failing.url, api_key="none", max_retries=0) as claude,
        pytest.raises(anthropic.OverloadedError),
    ):
        claude.messages.create(**CHAT, max_tokens=10)


def test_refused_connections_end_the_open_ones_and_recover_on_the_same_port(failing: Failing) -> None:
    with requests.Session() as session:
        assert session.get(f"{failing.url}/healthz", timeout=5).status_code == 200
        with socket.create_connection(("127.0.0.1", failing.port)) as idle:
            failing.fail(fail="refuse")
            failing.fail(fail="refuse")
            idle.settimeout(5)
            with contextlib.suppress(ConnectionResetError):
                assert idle.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", failing.port))
    failing.fail(fail="503")
    assert failing.ask().status_code == 503


def test_silent_upstream_reads_and_never_responds(failing: Failing) -> None:
    failing.fail(fail="silent")
    connection = failing.connection()
    with pytest.raises(TimeoutError):
        connection.getresponse()
    connection.close()


def test_reset_comes_after_the_request_and_before_any_byte(failing: Failing) -> None:
    failing.fail(fail="reset")
    connection = failing.connection()
    with pytest.raises(ConnectionResetError):
        connection.getresponse()
    connection.close()


@pytest.mark.parametrize("stream", [True, False])
def test_page_and_empty_body_come_with_status_200(failing: Failing, stream: bool) -> None:
    failing.fail(fail="html")
    page = failing.ask(stream=stream)
    assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html")
    assert page.text.startswith("<!doctype html>")
    failing.fail(fail="empty")
    empty = failing.ask(stream=stream)
    assert (empty.status_code, empty.content) == (200, b"")
    assert empty.headers["Content-Type"] == ("text/event-stream" if stream else "application/json")


@pytest.mark.parametrize("stream", [True, False])
def test_stalled_response_stops_after_its_pieces_and_stays_open(failing: Failing, stream: bool) -> None:
    failing.fail(fail="stall", after=2)
    connection = failing.connection(stream=stream)
    response = connection.getresponse()
    got = bytearray()
    with pytest.raises(TimeoutError):
        read(response, got)
    assert got.count(b"data: ") == 2 if stream else got == b'{"'
    connection.close()


@pytest.mark.parametrize("after", [0, 1, 3])
def test_cut_stream_ends_after_its_events_without_an_end(failing: Failing, after: int) -> None:
    failing.fail(fail="cut", after=after)
    connection = failing.connection(stream=True)
    response = connection.getresponse()
    got = bytearray()
    with pytest.raises(http.client.IncompleteRead):
        read(response, got)
    assert got.count(b"data: ") == after
    assert b"[DONE]" not in got
    connection.close()


def test_cut_document_is_shorter_than_its_head_says(failing: Failing) -> None:
    failing.fail(fail="cut", after=10)
    connection = failing.connection()
    with pytest.raises(http.client.IncompleteRead) as cut:
        connection.getresponse().read()
    assert len(cut.value.partial) == 10
    connection.close()


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("chat", b'data: {"error": {"message": "The server is overloaded."'),
        ("responses", b'event: error\ndata: {"type": "error", "code": "overloaded"'),
        ("messages", b'event: error\ndata: {"type": "error", "error": {"type": "overloaded_error"'),
    ],
)
def test_stream_fails_with_an_error_event_of_its_api(failing: Failing, path: str, error: bytes) -> None:
    failing.fail(fail="error", after=1)
    first, event, rest = failing.ask(path, stream=True).content.split(b"\n\n")
    assert first.split(b"data: ")[1].startswith(b"{")
    assert event.startswith(error)
    assert rest == b""
    assert failing.ask(path).status_code == 529


def test_slow_response_is_complete_and_takes_its_time(failing: Failing) -> None:
    whole = failing.ask(stream=True).content
    failing.fail(fail="slow", wait=0.01)
    start = time.monotonic()
    assert failing.ask(stream=True).content == whole
    assert time.monotonic() - start >= 0.01 * whole.count(b"data: ")


def test_fault_hits_so_many_calls_of_its_model_and_key(failing: Failing) -> None:
    failing.fail(fail="401", key="sk-one", model="demo-large", times=2)
    calls = [
        ("sk-one", "demo-small"),
        ("sk-two", "demo-large"),
        *[("sk-one", "demo-large")] * 3,
    ]
    statuses = [failing.ask(key=key, model=model).status_code for key, model in calls]
    assert statuses == [200, 200, 401, 401, 200]
    state = failing.state()
    assert (state["calls"], state["failed"]) == (5, 2)


def test_list_of_models_fails_too_but_not_the_health(failing: Failing) -> None:
    failing.fail(fail="503")
    models = requests.get(f"{failing.url}/v1/models", headers={"anthropic-version": "1"}, timeout=5)
    assert (models.status_code, models.json()["error"]["type"]) == (503, "overloaded_error")
    assert requests.get(f"{failing.url}/healthz", timeout=5).status_code == 200


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("{", ""),
        ("[]", 'The body must be an object such as {"fail": "503"}.'),
        ('{"times": 1}', 'The body must be an object such as {"fail": "503"}.'),
        ('{"fail": "418"}', "fail must be one of 400, 401,"),
        ('{"fail": "cut", "afer": 1}', "afer is not a member. Allowed: fail, after,"),
        ('{"fail": "cut", "after": -1}', "after must be a number that is not negative."),
        ('{"fail": "cut", "after": 1.5}', "after must be a number that is not negative."),
        ('{"fail": "slow", "wait": "1s"}', "wait must be a number that is not negative."),
        ('{"fail": "refuse", "times": 2}', "refuse takes no times, model or key"),
    ],
)
def test_wrong_fault_is_rejected_with_its_member(failing: Failing, body: str, told: str) -> None:
    response = requests.put(failing.control, data=body, timeout=5)
    assert response.status_code == 400
    assert response.json()["error"].startswith(told)
    assert failing.state()["fault"] is None


def test_control_has_one_path(failing: Failing) -> None:
    for method in ("GET", "PUT", "DELETE"):
        other = requests.request(method, f"{failing.control}s", timeout=5)
        assert (other.status_code, other.json()) == (404, {"error": "The only path is /control."})


def test_program_prints_the_port_of_its_control_second_and_needs_its_keys() -> None:
    command = [sys.executable, "-m", "examples.demo_upstream", "--key", "sk-1", "--control-port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as program:
        assert program.stdout
        failing = Failing(int(program.stdout.readline()), int(program.stdout.readline()))
        assert [failing.ask(key=key).status_code for key in ("sk-1", "sk-2")] == [200, 401]
        failing.fail(fail="503")
        assert failing.ask(key="sk-1").status_code == 503
        program.terminate()
