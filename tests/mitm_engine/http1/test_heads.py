"""Heads that could be read in two ways are rejected, and every outgoing head is framed by us."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy import http
from mitmproxy.test import tutils

from mitm_engine.http1.head_rules import check_head, origin_form
from mitm_engine.http1.header_names import HeaderNames
from mitm_engine.http1.heads import closing_response, head_of, request_head, sized
from mitm_engine.http1.last_head import LastHead
from mitm_engine.options import Options
from mitm_engine.wire_error import WireError
from shared.core.http_tokens import Fields
from tests.mitm_engine.http1.wire_bytes import FIELDS
from tests.support.client import take_response


def request(*fields: tuple[bytes, bytes], path: bytes = b"/x") -> http.Request:
    made: http.Request = tutils.treq(headers=http.Headers(fields), path=path)
    return made


@given(FIELDS)
def test_a_request_keeps_its_fields_in_their_order_and_spelling(fields: list[tuple[bytes, bytes]]) -> None:
    lines = request_head(request(*fields), sized(5)).split(b"\r\n")
    assert lines[0] == b"GET /x HTTP/1.1"
    assert lines[1:-3] == [b"%s: %s" % field for field in fields]
    assert lines[-3:] == [b"Content-Length: 5", b"", b""]


@pytest.mark.parametrize("name", [b"Connection", b"TRANSFER-ENCODING", b"content-length", b"Keep-Alive"])
def test_framing_fields_of_an_addon_are_dropped(name: bytes) -> None:
    assert request_head(request((name, b"chunked")), b"") == b"GET /x HTTP/1.1\r\n\r\n"


@pytest.mark.parametrize("bad", [b"a\r\nX: b", b"a\n", b"a\rb", b"a\0b", b"\r\n"])
def test_an_addon_cannot_split_a_request(bad: bytes) -> None:
    for made in (request((b"X", bad)), request((bad, b"x")), request(path=b"/" + bad)):
        with pytest.raises(WireError):
            request_head(made, b"")


@given(st.lists(st.tuples(st.sampled_from([b"A", b"X-Long"]), st.binary(max_size=6)), max_size=4))
def test_a_head_is_sent_when_no_value_breaks_a_line(fields: list[tuple[bytes, bytes]]) -> None:
    if any(set(value) & set(b"\r\n\0") for _, value in fields):
        with pytest.raises(WireError):
            request_head(request(*fields), b"")
    else:
        lines = request_head(request(*fields), b"").split(b"\r\n")
        assert lines == [b"GET /x HTTP/1.1", *(b"%s: %s" % field for field in fields), b"", b""]


def test_a_closing_response_announces_it_and_is_whole() -> None:
    taken = take_response(closing_response(http.Response.make(400, b"abc", {"Connection": "keep-alive"})))
    assert taken is not None
    response, rest = taken
    assert (response.status, response.body, response.closes, rest) == (400, b"abc", True, b"")


@pytest.mark.parametrize("name", [b"Content-Length ", b"Transfer-Encoding\t", b"A b", b""])
def test_a_header_with_an_invalid_name_is_not_sent(name: bytes) -> None:
    with pytest.raises(WireError):
        request_head(request((name, b"5")), b"")
    with pytest.raises(WireError):
        closing_response(http.Response(b"HTTP/1.1", 200, b"", http.Headers([(name, b"5")]), b"", None, 0, 0))


_NAMES = [b"A", b"X-Long", b"Content-Length", b"Connection", b"TE", b"Transfer-Encoding", b"no name"]
_VALUES = [b"", b"5", b"6", b"chunked", b"close", b"a", b"X-Long", b"a\r\nX: b"]
_FIELD = st.tuples(st.sampled_from(_NAMES), st.sampled_from(_VALUES))


def read_or_fault(fields: Fields, path: bytes, last: LastHead | None) -> object:
    """The bytes that are sent for a head, and what its reader knows of it, or that it is not sent."""
    try:
        head = head_of(fields, last)
        return head.length, head.wants_close, request_head(request(*fields, path=path), b"", last)
    except WireError:
        return None


@given(st.data(), st.lists(_FIELD, max_size=4))
def test_a_head_that_is_sent_again_with_other_values_is_as_if_it_were_new(
    data: st.DataObject, fields: list[tuple[bytes, bytes]]
) -> None:
    last = LastHead((b"GET", b"/x", b"HTTP/1.1"), (), {})
    for _ in range(4):
        if fields and data.draw(st.booleans()):
            place = data.draw(st.integers(0, len(fields) - 1))
            name = fields[place][0] if data.draw(st.booleans()) else data.draw(st.sampled_from(_NAMES))
            fields[place] = (name, data.draw(st.sampled_from(_VALUES)))
        elif data.draw(st.booleans()):
            fields.append(data.draw(_FIELD))
        made, path = tuple(fields), data.draw(st.sampled_from([b"/x", b"/y", b"/ z"]))
        assert read_or_fault(made, path, last) == read_or_fault(made, path, None)


def test_fields_that_an_addon_may_change_in_place_are_read_each_time() -> None:
    last = LastHead((b"GET", b"/x", b"HTTP/1.1"), (), {})
    fields: list[tuple[bytes, bytes]] = [(b"A", b"1")]
    assert head_of(fields, last).after(b"", b"") == b"\r\nA: 1\r\n\r\n"
    fields[0] = (b"A", b"2")
    assert head_of(fields, last).after(b"", b"") == b"\r\nA: 2\r\n\r\n"


INVALID_PATHS = [b"/a b HTTP/1.1", b"a", b"", b"/\xc3\xa4"]


@pytest.mark.parametrize(
    ("part", "value"), [*(("path", path) for path in INVALID_PATHS), ("method", b"GET /other HTTP/1.1\r\n")]
)
def test_an_invalid_path_or_method_is_not_sent(part: str, value: bytes) -> None:
    made = request()
    setattr(made.data, part, value)
    with pytest.raises(WireError):
        request_head(made, b"")


HOST = (b"Host", b"a.example.com")


def check(
    method: bytes = b"GET", target: bytes = b"/", version: bytes = b"HTTP/1.1", fields: tuple = (HOST,)
) -> str | None:
    try:
        check_head(method, target, version, fields, Options(head_limit=1000, field_limit=10))
    except WireError as error:
        return error.code
    return None


def test_a_valid_head_passes() -> None:
    assert check() is None
    assert (
        check(b"POST", b"/v1?x=%20", b"HTTP/1.0", (HOST, (b"Content-Length", b"5"), (b"X-A", b"\xc3\xa4 \t")))
        is None
    )
    assert check(b"POST", fields=(HOST, (b"Transfer-Encoding", b"Chunked"))) is None


@pytest.mark.parametrize(
    "fields", [(HOST,) * 11, (HOST, (b"X", b"y" * 1000))], ids=["too many fields", "too many bytes"]
)
def test_a_head_over_a_limit_of_the_options_is_rejected(fields: tuple) -> None:
    """All other faults are proven on the wire, by `test_malformed_request_is_rejected_before_any_hook`."""
    assert check(fields=fields) == "headers_too_large"


@given(st.binary(min_size=1, max_size=20), st.integers(0, 8))
def test_head_with_a_control_character_is_rejected(value: bytes, where: int) -> None:
    broken = value[:where] + b"\x00" + value[where:]
    assert check(fields=(HOST, (b"X", broken))) == "bad_request"
    assert check(fields=(HOST, (broken, b"x"))) == "bad_request"
    assert check(target=b"/" + broken) in ("bad_request", "uri_too_long")


@pytest.mark.parametrize(
    ("target", "form"),
    [
        (b"/v1?x", b"/v1?x"),
        (b"http://a.example.com/v1?x", b"/v1?x"),
        (b"HTTPS://A.example.com", b"/"),
        (b"http://a.example.com?x", b"/?x"),
        (b"http://b.example.com/", None),
        (b"http://a.example.com:80/", None),
        (b"http://u@a.example.com/", None),
        (b"*", b"*"),
    ],
)
def test_an_absolute_target_is_accepted_only_with_the_name_of_its_host(
    target: bytes, form: bytes | None
) -> None:
    assert origin_form(target, (HOST,)) == form


def test_invented_names_do_not_fill_the_memory() -> None:
    hosts = HeaderNames([b"host"])
    for number in range(5000):
        assert hosts[b"x-%d" % number] is None
    for number in range(5000):
        assert hosts[b"x-%d" % number + b"a" * 10_000] is None
    assert len(hosts) < 2000
    assert sum(map(len, hosts)) < 100_000
    assert hosts[b"HOST"] == b"host"
