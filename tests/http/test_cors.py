"""Which web pages may call, and what their browsers are told."""

import pytest

from shared.http.cors import is_preflight, parse_origin, preflight_headers, with_cors
from shared.model.config import Cors
from shared.model.messages import Headers

APP = "https://app.example"
ONE, EVERY = Cors((APP,)), Cors(("*",))


def asked(origin: str | None = APP, *more: tuple[str, str]) -> Headers:
    sent = [("Origin", origin)] if origin is not None else []
    return Headers([*sent, ("Access-Control-Request-Method", "POST"), *more])


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://App.Example", "https://app.example"),
        ("https://app.example:443", "https://app.example"),
        ("http://localhost:3000", "http://localhost:3000"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("chrome-extension://abcdef", "chrome-extension://abcdef"),
        ("*", "*"),
    ],
)
def test_origin_is_stored_as_browsers_send_it(text: str, origin: str) -> None:
    assert parse_origin(text) == origin


@pytest.mark.parametrize(
    "text",
    [
        "",
        "app.example",
        "https://app.example/",
        "https://*.example",
        "null",
        "https://u@a",
        "a b",
        "https://",
    ],
)
def test_text_that_no_browser_sends_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match=r"an origin such as https://app\.example\.com"):
        parse_origin(text)


def test_preflight_is_an_options_request_of_a_browser() -> None:
    assert is_preflight("OPTIONS", asked())
    assert not is_preflight("GET", asked())
    assert not is_preflight("OPTIONS", Headers([("Origin", APP)]))
    assert not is_preflight("OPTIONS", asked(None))


def test_preflight_of_an_allowed_page_names_what_it_may_send() -> None:
    headers = dict(
        preflight_headers(ONE, asked(APP, ("Access-Control-Request-Headers", "authorization, x-a")))
    )
    assert headers == {
        "Vary": "Origin, Access-Control-Request-Method, Access-Control-Request-Headers",
        "Access-Control-Allow-Origin": APP,
        "Access-Control-Allow-Methods": "POST",
        "Access-Control-Allow-Headers": "authorization, x-a",
        "Access-Control-Max-Age": "600",
    }


def test_preflight_names_only_the_headers_of_the_setting() -> None:
    cors = Cors((APP,), ("authorization", "content-type"), 0.0)
    headers = preflight_headers(cors, asked(APP, ("Access-Control-Request-Headers", "x-other")))
    assert headers["access-control-allow-headers"] == "authorization, content-type"
    assert headers["access-control-max-age"] == "0"


@pytest.mark.parametrize("names", ["", "a" * 3000, "a: b", "a(b)"])
def test_preflight_repeats_no_header_list_that_is_not_one(names: str) -> None:
    headers = preflight_headers(EVERY, asked(APP, ("Access-Control-Request-Headers", names)))
    assert "access-control-allow-headers" not in headers


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "https://app.example.evil", "http://app.example", "null"]
)
def test_page_that_may_not_call_is_told_nothing(origin: str) -> None:
    assert [name for name, _ in preflight_headers(ONE, asked(origin))] == ["Vary"]
    assert with_cors((), ONE, asked(origin)) == ((b"Vary", b"Origin"),)


def test_star_allows_every_page_and_the_origin_is_not_repeated() -> None:
    assert preflight_headers(EVERY, asked("null"))["access-control-allow-origin"] == "*"
    assert (b"Access-Control-Allow-Origin", b"*") in with_cors((), EVERY, asked("https://other.example"))


def test_response_exposes_the_gateways_headers_and_replaces_those_of_the_upstream() -> None:
    fields = (
        (b"Content-Type", b"text/plain"),
        (b"Vary", b"Accept"),
        (b"Access-Control-Allow-Origin", b"https://upstream.example"),
        (b"access-control-allow-credentials", b"true"),
        (b"X-Request-ID", b"1"),
        (b"RateLimit", b"r=1"),
        (b"RateLimit-Policy", b"q=1"),
        (b"x-ratelimit-remaining-requests", b"1"),
        (b"Retry-After", b"1"),
        (b"X-Gateway-Model", b"m"),
        (b"X-Secret", b"s"),
    )
    head = Headers.of(with_cors(fields, ONE, asked()))
    assert head.all("access-control-allow-origin") == (APP,)
    assert head.all("vary") == ("Accept", "Origin")
    assert "access-control-allow-credentials" not in head
    assert head["access-control-expose-headers"] == (
        "X-Request-ID, RateLimit, RateLimit-Policy, x-ratelimit-remaining-requests, Retry-After, X-Gateway-Model"
    )


def test_response_to_a_request_of_no_page_only_varies() -> None:
    assert with_cors((), ONE, Headers()) == ((b"Vary", b"Origin"),)
