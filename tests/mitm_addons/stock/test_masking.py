"""The masked copies of flows that mitmweb shows."""

import gzip
from typing import Any

import pytest

from mitm_addons.stock.masking import BODY_SHOWN, MASK, masked_copy
from tests.mitm_addons.begun import admitted, begun_flow

SECRET = "Bearer canary-of-the-rule"


def call(**headers: str) -> Any:
    """A flow with a response, under a rule that sets `headers`."""
    return begun_flow(admitted=admitted(**headers))


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "proxy-authorization",
        "Cookie",
        "Set-Cookie",
        "X-API-KEY",
        "api-key",
        "x-goog-api-key",
    ],
)
def test_headers_that_carry_credentials_are_masked(name: str) -> None:
    flow = call()
    flow.request.headers[name] = flow.response.headers[name] = "canary"
    copy: Any = masked_copy(flow)
    assert (copy.request.headers[name], copy.response.headers[name]) == (MASK, MASK)
    assert flow.request.headers[name] == "canary"


def test_headers_that_a_rule_sets_are_masked_by_name_and_by_value() -> None:
    flow = call(**{"X-Upstream": SECRET, "X-Mode": "on"})
    flow.request.headers["x-upstream"] = SECRET
    flow.request.headers["x-mode"] = "on"
    flow.response.headers["x-echo"] = SECRET.split()[1]
    flow.response.text = f"one {SECRET} on {SECRET.split()[1]}"
    copy: Any = masked_copy(flow)
    assert copy.request.headers["x-upstream"] == copy.request.headers["x-mode"] == MASK
    assert copy.response.headers["x-echo"] == MASK
    assert "canary" not in copy.response.text
    assert copy.response.text.startswith("one ")
    assert " on " in copy.response.text


@pytest.mark.parametrize("name", ["key", "TOKEN", "api_key", "access_token", "%6bey", "subscription-key"])
def test_query_parameters_that_carry_credentials_are_masked(name: str) -> None:
    flow = call()
    flow.request.path = f"/v1/x?a=1&{name}=canary&b=2"
    assert masked_copy(flow).request.path == f"/v1/x?a=1&{name}={MASK}&b=2"


def test_a_compressed_body_is_shown_decoded_and_masked() -> None:
    flow = call(X=SECRET)
    flow.response.headers["content-encoding"] = "gzip"
    flow.response.raw_content = gzip.compress(f"hello {SECRET}".encode())
    copy: Any = masked_copy(flow)
    assert copy.response.get_content(strict=False) == f"hello {MASK}".encode()


@pytest.mark.parametrize("body", [None, b"\xff\xfe", SECRET.encode("utf-16-le")])
def test_a_body_that_was_streamed_or_is_not_text_is_not_shown(body: bytes | None) -> None:
    flow = call()
    flow.response.raw_content = body
    copy: Any = masked_copy(flow)
    assert copy.response.raw_content is None


@pytest.mark.parametrize("before", [BODY_SHOWN - 10, 2 * BODY_SHOWN - 10])
def test_a_long_body_is_cut_without_showing_half_of_a_secret(before: int) -> None:
    flow = call(X=SECRET)
    flow.request.text = SECRET * 2000 + "a" * (before - 2000 * len(SECRET)) + SECRET + "z" * BODY_SHOWN
    shown = masked_copy(flow).request.raw_content
    assert shown is not None
    assert len(shown) <= BODY_SHOWN
    assert b"Bearer c" not in shown
    assert shown.startswith(MASK.encode())
