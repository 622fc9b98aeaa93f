"""docs/reference/headers.md says what is added and removed; here the code does it."""

import inspect
import re
from pathlib import Path
from typing import Any

import anthropic
import pytest

from shared.core.http_tokens import HOP_BY_HOP, KEY_HEADERS, MASK
from shared.http.forwarding import CREDENTIALS, OwnHeaders, client_head, identity_fields, upstream_head
from shared.http.trace_context import TraceContext
from shared.model.messages import Headers
from shared.providers.headers import DROP, HIDDEN, IS_REQUEST_ID, SHOULD_RETRY
from shared.routing import ai_exchange, ai_route, pool_exchange, provider_calls
from shared.routing.client_keys import query_without_credentials

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "headers.md").read_text(encoding="utf-8")
WHO = identity_fields("id", "192.0.2.1", "t1", "k1")


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table below a heading."""
    section = PAGE.partition(f" {heading}\n")[2].partition("\n#")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def names(cell: str) -> list[str]:
    """The headers in a cell; a family by one of its members."""
    return [name.replace("*", "Anything") for name in re.findall(r"`([A-Za-z*-]+)`", cell)]


def test_every_place_of_a_key_is_on_the_page_in_its_order() -> None:
    places = [name.lower() for row in rows("Where clients send the API key") for name in names(row[0])]
    assert places == ["x-gateway-key", *[one for one in KEY_HEADERS if one != "x-gateway-key"]]
    assert "| `Authorization: Bearer` |" in PAGE


def test_headers_that_the_page_calls_added_are_those_that_are_added() -> None:
    trace = TraceContext("1" * 32, "2" * 16, state="a=1").fields(1)
    head = [*upstream_head(Headers(), Headers(), OwnHeaders({}), via="g"), *Headers.of(WHO + trace)]
    added = [name for row in rows("Added") for name in names(row[0])]
    assert sorted(added) == sorted(name for name, _ in head)
    quiet = upstream_head(Headers(), Headers(), OwnHeaders({}, who=False), via="g")
    assert [name for name, _ in quiet] == [
        name for row in rows("Added") for name in names(row[0]) if row[2].startswith("always")
    ]


@pytest.mark.parametrize("name", [name for row in rows("Removed") for name in names(row[0])])
def test_header_that_the_page_calls_removed_is_removed(name: str) -> None:
    sent = Headers([(name, "spoofed")])
    assert "spoofed" not in dict(upstream_head(sent, sent, OwnHeaders({}), via="g")).values()


def test_page_lists_every_header_that_is_removed() -> None:
    listed = {name.lower() for row in rows("Removed") for name in names(row[0])} | {"x-gateway-key"}
    assert HOP_BY_HOP | CREDENTIALS | {"host", "content-length", "expect"} <= listed


def test_page_lists_all_that_is_removed_beside_a_key_of_the_gateway() -> None:
    query, head = [row[1] for row in rows("Beside a key of the gateway's own")]
    parameters = re.findall(r"`([A-Za-z_-]{2,})`", query)
    written = "&".join(f"{name}any=1" if name.endswith("-") else f"{name}=1" for name in parameters)
    assert len(parameters) > 9
    assert query_without_credentials(f"a=1&{written}&$x=1&b".encode()) == b"a=1&b"
    assert {name.lower() for name in names(head)} >= {*provider_calls._ACCOUNT, "cookie"}


def test_headers_of_responses_are_as_the_page_says() -> None:
    for row in rows("Responses to the client"):
        if row[0].endswith("of the upstream"):
            for name in names(row[0]):
                assert not list(client_head(Headers([(name, MASK)]), HIDDEN[DROP])), name
    (ids,) = [row[1] for row in rows("Responses to the client") if row[0] == "`X-Upstream-Request-ID`"]
    assert all(IS_REQUEST_ID[name.encode()] for name in names(ids.partition(".")[0]))
    assert len(names(ids.partition(".")[0])) == 5


def test_headers_about_targets_and_cost_are_on_the_page() -> None:
    listed = {name.lower() for row in rows("Responses to the client") for name in names(row[0])}
    source = "".join(inspect.getsource(module) for module in (ai_exchange, ai_route, pool_exchange))
    sent = {name.lower() for name in re.findall(r'b"(x-[a-z-]+)"', source, re.IGNORECASE)}
    assert len(sent) == 5
    assert sent | {SHOULD_RETRY} <= listed


def test_client_with_its_own_credential_is_made_as_the_page_shows() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, Any] = {"anthropic": anthropic, "token_of_the_provider": "theirs", "gateway_key": "ours"}
    exec(code, names)  # a block of our own page
    sent = names["client"].default_headers
    assert (sent["X-Gateway-Key"], sent["Authorization"]) == ("ours", "Bearer theirs")
