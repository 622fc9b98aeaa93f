"""The demo validator, as the gateway sees it."""

import time
from collections.abc import Iterator

import pytest
import requests

from examples.demo_validator import DemoValidator, verdict
from tests.support.commands import serving


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(DemoValidator(0)) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.mark.parametrize(
    ("body", "response"),
    [
        (b'{"text": "hello"}', {"allowed": True, "flagged": False}),
        (b"something FORBIDDEN", {"allowed": False, "flagged": False}),
        (b"\xff odd", {"allowed": True, "flagged": True}),
    ],
)
def test_demo_validator_knows_two_words(url: str, body: bytes, response: dict[str, bool]) -> None:
    assert verdict(body) == response
    assert requests.post(url, data=body, timeout=5).json() == response


@pytest.mark.parametrize(("query", "status"), [("status=500", 500), ("redirect", 307), ("text", 200)])
def test_demo_validator_can_be_made_faulty(url: str, query: str, status: int) -> None:
    response = requests.post(f"{url}/?{query}", data=b"{}", timeout=5, allow_redirects=False)
    assert response.status_code == status
    assert (response.text == "all is well") is (query == "text")


def test_demo_validator_can_be_made_slow(url: str) -> None:
    start = time.perf_counter()
    requests.post(f"{url}/?wait=0.1", data=b"{}", timeout=5)
    assert time.perf_counter() - start >= 0.1


def test_demo_validator_repeats_what_it_was_asked(url: str) -> None:
    before = requests.get(f"{url}/calls", timeout=5).json()["count"]
    requests.post(url, data=b"{1}", headers={"X-Key": "k"}, timeout=5)
    calls = requests.get(f"{url}/calls", timeout=5).json()
    assert (calls["count"], calls["body"], calls["headers"]["X-Key"]) == (before + 1, "{1}", "k")
