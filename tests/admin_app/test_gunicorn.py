"""The admin API as gunicorn serves it: what gunicorn itself says, large bodies, and a blocked log."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPResponse
from pathlib import Path
from urllib.parse import urljoin

import pytest
import requests
import urllib3

from tests.support.gateway import ROOT, bare_environment
from tests.support.packages import need_command
from tests.support.ports import free_port
from tests.support.wait import until

pytestmark = pytest.mark.slow


class Gunicorn:
    """A running admin API, whose log goes to `log`."""

    def __init__(self, folder: Path, log: int) -> None:
        self.port = free_port()
        environment = {
            **bare_environment(folder / "data"),
            "GATEWAY__SERVER__ADMIN_PORT": str(self.port),
            "GATEWAY__TRUSTED_PROXIES": "127.0.0.1/32",
        }
        command = [sys.executable, "-m", "gunicorn", "wsgi:app"]
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def wait(self) -> None:
        for _ in until(40):
            try:
                if requests.get(f"{self.url}/livez", timeout=5).status_code == 200:
                    return
            except requests.ConnectionError:
                assert self.process.poll() is None
        raise TimeoutError("The admin API did not start.")

    def exchange(self, sent: bytes) -> tuple[int, dict[str, str], bytes]:
        """The response to the bytes: status, headers, body."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as client:
            client.sendall(sent)
            response = HTTPResponse(client)
            response.begin()
            headers = {name.lower(): value for name, value in response.getheaders()}
            return response.status, headers, response.read()


@contextmanager
def serving(folder: Path, log: int) -> Iterator[Gunicorn]:
    running = Gunicorn(folder, log)
    try:
        running.wait()
        yield running
    finally:
        running.process.terminate()
        try:
            running.process.wait(20)
        except subprocess.TimeoutExpired:
            running.process.kill()
            running.process.wait()
            raise


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("log") / "admin.log"


@pytest.fixture(scope="module")
def gunicorn(tmp_path_factory: pytest.TempPathFactory, log: Path) -> Iterator[Gunicorn]:
    with log.open("wb") as file, serving(tmp_path_factory.mktemp("admin"), file.fileno()) as running:
        yield running


HEAD = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"
MALFORMED = [
    (b"nonsense\r\n\r\n", 400, "bad_request"),
    (b"GET / HTTP/1.1\r\nHost localhost\r\n\r\n", 400, "bad_request"),
    (b"G<T / HTTP/1.1\r\n\r\n", 400, "bad_request"),
    (b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\n\r\n", 414, "uri_too_long"),
    (HEAD + b"X-Long: " + b"a" * 9000 + b"\r\n\r\n", 431, "headers_too_large"),
    (HEAD + b"".join(b"X-%d: a\r\n" % i for i in range(200)) + b"\r\n", 431, "headers_too_large"),
    (HEAD + b"Transfer-Encoding: other, chunked\r\n\r\n", 501, "not_implemented"),
    (HEAD + b"Expect: a-miracle\r\n\r\n", 417, "expectation_failed"),
]


@pytest.mark.parametrize(("sent", "status", "code"), MALFORMED, ids=range(len(MALFORMED)))
def test_request_that_gunicorn_rejects_gets_a_problem_document(
    gunicorn: Gunicorn, sent: bytes, status: int, code: str
) -> None:
    found, headers, body = gunicorn.exchange(sent)
    assert (found, headers["content-type"]) == (status, "application/problem+json")
    assert "server" not in headers
    problem = json.loads(body)
    assert (problem["status"], problem["code"], problem["error"]) == (status, code, problem["detail"])
    assert problem["request_id"] == headers["x-request-id"]


@pytest.mark.parametrize(
    ("name", "values"), [("Authorization", ("Bearer a", "Bearer b")), ("Idempotency-Key", ('"a"', '"b"'))]
)
def test_header_that_was_sent_twice_is_named(gunicorn: Gunicorn, name: str, values: tuple[str, str]) -> None:
    body = b'{"name": "A", "subdomain": "a"}'
    lines = [f"{name}: {value}" for value in values]
    lines += ["Host: localhost", "Content-Type: application/json", f"Content-Length: {len(body)}"]
    head = "\r\n".join(["POST /api/v1/tenants HTTP/1.1", *lines]) + "\r\n\r\n"
    status, _, problem = gunicorn.exchange(head.encode() + body)
    assert (status, json.loads(problem)["detail"].split(",")[0]) == (400, f"Send {name} once")


@pytest.mark.parametrize("connection", ["keep-alive", "close"])
@pytest.mark.parametrize("megabytes", [2, 10, 30])
def test_response_to_a_body_that_is_too_large_arrives(
    gunicorn: Gunicorn, connection: str, megabytes: int
) -> None:
    body = b'{"name": "' + b"x" * (megabytes * 1024 * 1024) + b'"}'
    pool = urllib3.PoolManager(retries=False)
    headers = {"Content-Type": "application/json", "Connection": connection}
    for _ in range(4):
        response = pool.request("POST", f"{gunicorn.url}/api/v1/tenants", body=body, headers=headers)
        assert (response.status, response.json()["code"]) == (413, "body_too_large")
        assert response.headers["Connection"] == "close"


@pytest.mark.parametrize("megabytes", [2, 10, 30])
def test_client_that_sends_a_whole_large_body_first_is_not_cut_off(
    gunicorn: Gunicorn, megabytes: int
) -> None:
    """urllib3 reads the response even if it could not send everything. Many clients do not."""
    length = megabytes * 1024 * 1024
    head = f"POST /api/v1/tenants HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n"
    sent = f"{head}Content-Type: application/json\r\n\r\n".encode() + bytes(length)
    for _ in range(4):
        status, headers, body = gunicorn.exchange(sent)
        assert (status, headers["connection"]) == (413, "close")
        assert json.loads(body)["code"] == "body_too_large"


def test_response_to_a_large_body_without_a_key_arrives(gunicorn: Gunicorn) -> None:
    headers = {"Content-Type": "application/json", "Authorization": "Bearer nonsense"}
    for kind in ("sized", "chunked"):
        body = b"x" * (10 * 1024 * 1024)
        sent = body if kind == "sized" else iter([body])
        response = urllib3.request(
            "POST", f"{gunicorn.url}/api/v1/tenants", body=sent, headers=headers, retries=False
        )
        assert response.status == 401


def test_connection_is_kept_after_an_ordinary_change(gunicorn: Gunicorn) -> None:
    pool = urllib3.HTTPConnectionPool("127.0.0.1", gunicorn.port, maxsize=1)
    for i in range(3):
        sent = json.dumps({"name": "A", "subdomain": f"kept-{i}"})
        headers = {"Content-Type": "application/json"}
        assert pool.request("POST", "/api/v1/tenants", body=sent, headers=headers).status == 201
    assert pool.num_connections == 1


_NGINX = """
daemon off; worker_processes 1; pid {folder}/pid; error_log stderr warn;
events {{ worker_connections 100; }}
http {{
  access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port}; {location} }}
}}
"""


@pytest.fixture
def behind_nginx(gunicorn: Gunicorn, tmp_path: Path) -> Iterator[str]:
    """The URL of the admin API below a path of nginx, as the page on deployments shows."""
    page = (ROOT / "docs/how-to/deploying.md").read_text()
    [block] = re.findall(r"```nginx\n(location /admin-api/.*?)```", page, re.DOTALL)
    port, file = free_port(), tmp_path / "nginx.conf"
    location = block.replace("http://admin/", f"{gunicorn.url}/")
    file.write_text(_NGINX.format(folder=tmp_path, port=port, location=location))
    nginx = subprocess.Popen([need_command("nginx", "nginx-light"), "-c", file, "-p", tmp_path])
    url = f"http://127.0.0.1:{port}/admin-api"
    try:
        for _ in until(20):
            try:
                requests.get(f"{url}/livez", timeout=5)
                break
            except requests.ConnectionError:
                assert nginx.poll() is None
        yield url
    finally:
        nginx.terminate()
        nginx.wait(20)


def test_pages_and_links_work_below_a_path_of_nginx(behind_nginx: str, gunicorn: Gunicorn) -> None:
    headers = {"Host": "gateway.example"}
    page = requests.get(f"{behind_nginx}/docs", headers=headers, timeout=20)
    assert page.status_code == 200
    for link in re.findall(r'(?:src|href)="([^"]+)"', page.text):
        assert requests.get(urljoin(page.url, link), headers=headers, timeout=20).status_code == 200, link
    document = requests.get(f"{behind_nginx}/openapi.json", headers=headers, timeout=20).json()
    assert document["servers"] == [{"url": "/admin-api"}]
    # Its clients are on other machines, so they need a key.
    rejected = requests.get(f"{behind_nginx}/api/v1/tenants", headers=headers, timeout=20)
    assert (rejected.status_code, rejected.json()["code"]) == (401, "missing_api_key")
    made = requests.post(
        f"{gunicorn.url}/api/v1/tenants", json={"name": "N", "subdomain": "nginx"}, timeout=20
    )
    key = {**headers, "Authorization": f"Bearer {made.json()['key']}"}
    tenant = f"{behind_nginx}/api/v1/tenants/{made.json()['id']}"
    created = requests.post(f"{tenant}/api-keys", json={}, headers=key, timeout=20)
    location = urljoin(behind_nginx, created.headers["Location"])
    assert requests.get(location, headers=key, timeout=20).status_code == 200


def test_log_lines_are_json_and_tell_who_was_malformed(gunicorn: Gunicorn, log: Path) -> None:
    gunicorn.exchange(b"nonsense\r\n\r\n")
    for _ in until(20):
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        if any("was rejected" in line["message"] for line in lines):
            break
    assert any("Listening at" in line["message"] for line in lines)
    [*_, last] = [line for line in lines if "was rejected" in line["message"]]
    assert (last["level"], last["logger"]) == ("info", "gunicorn.error")


def test_last_lines_are_written_when_it_stops(tmp_path: Path) -> None:
    file = tmp_path / "log"
    with file.open("wb") as log, serving(tmp_path, log.fileno()):
        pass
    messages = [json.loads(line)["message"] for line in file.read_text().splitlines()]
    assert messages[-1].startswith("Shutting down")
    assert any(message.startswith("Worker exiting") for message in messages)


@pytest.fixture
def blocked() -> Iterator[int]:
    """The end of a pipe that is full and that nobody reads."""
    read, write = os.pipe()
    os.set_blocking(write, False)
    for size in (4096, 1):
        while True:
            try:
                os.write(write, b"x" * size)
            except BlockingIOError:
                break
    os.set_blocking(write, True)
    yield write
    os.close(read)
    os.close(write)


def test_blocked_log_neither_hangs_the_api_nor_keeps_it_from_stopping(tmp_path: Path, blocked: int) -> None:
    with serving(tmp_path, blocked) as gunicorn:
        with ThreadPoolExecutor(16) as pool:
            found = list(pool.map(lambda _: gunicorn.exchange(b"nonsense\r\n\r\n")[0], range(64)))
        assert found == [400] * 64
        assert requests.get(f"{gunicorn.url}/readyz", timeout=10).status_code == 200
        gunicorn.process.send_signal(signal.SIGTERM)
        assert gunicorn.process.wait(20) == 0
