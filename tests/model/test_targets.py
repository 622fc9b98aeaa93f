"""URLs that tenants name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.model.targets import Target, parse_target


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://api.openai.com", Target("https", "api.openai.com", 443)),
        ("http://API.Example.com.:8080/v1/", Target("http", "api.example.com", 8080, "/v1/")),
        ("HTTP://10.0.0.1/a%20b;c@d", Target("http", "10.0.0.1", 80, "/a%20b;c@d")),
        ("http://[2001:DB8::1]:81/x", Target("http", "2001:db8::1", 81, "/x")),
        ("http://my_service:80", Target("http", "my_service", 80)),
    ],
)
def test_a_url_is_taken_apart(url: str, target: Target) -> None:
    assert parse_target(url) == target


@pytest.mark.parametrize(
    "url",
    [
        "", "ftp://a.com", "//a.com", "a.com", "http://", "http:///x", "http://a.com:0", "http://a.com:65536",
        "http://user@a.com", "http://user:pass@a.com/", "http://a.com?x=1", "http://a.com/#f", "http://a.com\\@b.com",
        "http://a.com\n", " http://a.com", "http://a com", "http://a.com\x00", "http://ä.com", "http://a..com",
        "http://-a.com", "http://" + "a" * 64 + ".com", "http://" + "a." * 127 + "com", "http://a.com:80:80",
        "http://[::1", "http://[fe80::1%eth0]", "http://[1.2.3.4]", "http://[:]",
        "http://2130706433/", "http://0x7f.1/", "http://0x7f000001/", "http://0177.0.0.1/", "http://127.1/",
        "http://1.2.3.4.5/", "http://256.1.1.1/", "http://127.0.0.1./x?y", "http://a.0x/",
    ],
)  # fmt: skip
def test_an_ambiguous_url_is_rejected(url: str) -> None:
    with pytest.raises(ValueError, match=r"^Must be .*\.$"):
        parse_target(url)


@pytest.mark.parametrize(
    ("url", "origin", "authority"),
    [
        ("https://API.openai.com/v1", "https://api.openai.com:443", "api.openai.com"),
        ("http://api.openai.com:443", "http://api.openai.com:443", "api.openai.com:443"),
        ("http://[2001:db8::1]/x", "http://[2001:db8::1]:80", "[2001:db8::1]"),
        ("https://[2001:db8::1]:80", "https://[2001:db8::1]:80", "[2001:db8::1]:80"),
    ],
)
def test_a_credentials_owner_names_every_port_and_host_an_unusual_one(
    url: str, origin: str, authority: str
) -> None:
    target = parse_target(url)
    assert (target.origin, target.authority) == (origin, authority)


def test_a_query_is_kept_where_it_is_allowed() -> None:
    assert parse_target("https://a.com/check?v=1&x=/?", allow_query=True).query == "?v=1&x=/?"


@given(st.text(max_size=60) | st.from_regex(r"https?://[^/]{0,20}(/.{0,10})?", fullmatch=True))
def test_target_of_any_text_is_a_plain_url_or_rejected_with_a_sentence(text: str) -> None:
    try:
        target = parse_target(text, allow_query=True)
    except ValueError:
        with pytest.raises(ValueError, match=r"^Must be "):
            parse_target(text)
        return
    host = f"[{target.host}]" if ":" in target.host else target.host
    again = f"{target.scheme}://{host}:{target.port}{target.path}{target.query}"
    assert parse_target(again, allow_query=True) == target
