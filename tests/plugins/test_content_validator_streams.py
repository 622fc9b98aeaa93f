"""The content validator on streamed answers: the verdict of the whole answer, and nothing of a match gets out."""

import itertools
import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.bodies.event_splitter import event_splitter
from shared.bodies.text.patterns import Patterns
from shared.http.content_coding import decode, encode
from shared.http.media_type import MediaType
from shared.model.messages import Response
from shared.pipeline.plugin import CONTINUE, Patch, Reject, Verdict
from shared.plugins.content_validator import ContentValidator
from tests.bodies.streams import ENDPOINTS, LINE_ENDS, Endpoint, cut, plain
from tests.plugins.exchanges import exchange, head
from tests.support.cases import pairwise, slow

PATTERNS = (
    "secret", "(?i)Secret", r"\bec", r"\d{3,4}", "a.{0,3}b", "ab|abc", "^s", "t$", r"(?:ab){1,2}", "é+e", '"', r"\\",
    "[sec]{4}", "(?s)a.b", "r{2}",
)  # fmt: skip
# These see the JSON in which a tool's text stands.
AROUND = {'"', "^s", "t$", r"\bec"}
WORDS = ("secret", "SEC", "ret", "ab", "a", "b", "12", "3", " ", "é", '"', "\\", "\U0001f600")
TEXTS = st.lists(st.sampled_from(WORDS), max_size=8).map("".join)
SETTINGS = st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=3, unique=True)
CUTS = st.lists(st.integers(0, 99), max_size=5)
endpoints = pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)


def responded_with(content_type: str, body: bytes | None = None, **more: str) -> Any:
    return exchange(b"{}", response=Response(200, head(content_type=content_type, **more), body))


def whole(plugin: ContentValidator, body: bytes, content_type: str, **more: str) -> Verdict:
    return plugin.pre_response(responded_with(content_type, body, **more))


def passed(
    plugin: ContentValidator, body: bytes, content_type: str, cuts: Sequence[int] = ()
) -> tuple[bytes, Reject | None]:
    """The bytes that go out when the stream is passed on, cut at these bytes, and how it ends."""
    judge = plugin.pre_response_events(responded_with(content_type))
    if isinstance(judge, Reject):
        return b"", judge
    splitter = event_splitter(MediaType(content_type.partition(";")[0]), len(body))
    assert splitter is not None
    assert not isinstance(judge, type(CONTINUE) | Patch)
    sent = b""
    slots = sorted({0, *(place % (len(body) + 1) for place in cuts), len(body)})
    pieces = [splitter.feed(body[start:end]) for start, end in itertools.pairwise(slots)]
    for event in (*(event for piece in (*pieces, splitter.end()) for event in piece), None):
        response = judge.end() if event is None else judge.feed(event)
        if isinstance(response, Reject):
            return sent, response
        sent += b"".join(out.raw for out in response)
    return sent, None


def whole_response(endpoint: Endpoint, text: str) -> tuple[bytes, str]:
    return (
        (text.encode(), "text/plain")
        if endpoint.whole is plain
        else (endpoint.body(text), "application/json")
    )


@endpoints
@given(TEXTS, CUTS, CUTS, SETTINGS, st.sampled_from(LINE_ENDS))
@example('""', [], [], ['"'], "\n")
@example('"secret"', [], [], ["secret"], "\n")
def test_a_stream_has_the_verdict_of_the_whole_response_wherever_it_is_cut(
    endpoint: Endpoint, text: str, cuts: list[int], byte_cuts: list[int], patterns: list[str], end: str
) -> None:
    plugin = ContentValidator.parse({"blocked_patterns": patterns})
    stream = endpoint.stream(cut(text, cuts), end)
    sent, reject = passed(plugin, stream, endpoint.content_type, byte_cuts)
    assert isinstance(whole(plugin, stream, endpoint.content_type), Reject) is (reject is not None)
    if not (endpoint.quotes and AROUND & set(patterns)) and not (
        endpoint.shows_names and patterns != ["secret"]
    ):
        body, content_type = whole_response(endpoint, text)
        assert isinstance(whole(plugin, body, content_type), Reject) is (reject is not None)
    if reject is None:
        assert sent == stream
    elif not endpoint.quotes:
        # Nothing of a match has been sent; one may be seen only by who undoes the quotes of an event.
        first = min((match.start for match in Patterns(patterns).matches(text)), default=len(text))
        assert text.startswith(read := endpoint.read_stream(sent))
        assert len(read) <= first


@endpoints
@given(TEXTS, CUTS, CUTS, SETTINGS, st.sampled_from(LINE_ENDS))
@example('""', [], [], ['"'], "\n")
@example('"ab secret"', [], [], ["secret", '"'], "\n")
@example('"\\\\secret"', [], [], ["secret"], "\n")
def test_a_stream_is_masked_as_the_whole_response_is(
    endpoint: Endpoint, text: str, cuts: list[int], byte_cuts: list[int], patterns: list[str], end: str
) -> None:
    plugin = ContentValidator.parse({"blocked_patterns": patterns, "action": "mask"})
    stream = endpoint.stream(cut(text, cuts), end)
    sent, reject = passed(plugin, stream, endpoint.content_type, byte_cuts)
    collected = whole(plugin, stream, endpoint.content_type)
    if reject is not None:
        assert endpoint.quotes or endpoint.shows_names, "only what is no text cannot be masked"
        assert AROUND & set(patterns)
        assert isinstance(collected, Reject)
        return
    assert sent == (collected.body if isinstance(collected, Patch) else stream)
    masked = list(text)
    for match in Patterns(patterns).matches(text):
        masked[match.start : match.end] = "*" * (match.end - match.start)
    seen = endpoint.read_stream(sent)
    if endpoint.whole is plain and '"' in text:
        # An event may be a JSON string, and more is masked then: its reader may undo the quotes, or not.
        assert not [*Patterns(patterns).matches(seen)]
    elif not (endpoint.quotes and AROUND & set(patterns)):
        assert seen == "".join(masked)


@endpoints
@given(TEXTS, CUTS, CUTS, st.sampled_from(["secret", "[ae]", "^S", "$"]), st.integers(100, 600))
def test_stream_with_required_pattern_and_size_gets_the_buffered_verdict(
    endpoint: Endpoint, text: str, cuts: list[int], byte_cuts: list[int], pattern: str, size: int
) -> None:
    plugin = ContentValidator.parse({"required_patterns": [pattern], "max_size": size})
    stream = endpoint.stream(cut(text, cuts))
    sent, reject = passed(plugin, stream, endpoint.content_type, byte_cuts)
    collected = whole(plugin, stream, endpoint.content_type)
    assert isinstance(collected, Reject) is (reject is not None)
    if reject is not None and "lacks" in reject.message:
        assert b"[DONE]" not in sent
    assert sent == stream if reject is None else len(sent) <= size


STREAM = "text/event-stream"
EVENTS = ENDPOINTS[0].stream(["the sec", "ret"])


BLOCKING = ContentValidator.parse({"blocked_patterns": ["secret"]})
MASKING = ContentValidator.parse({"blocked_patterns": ["secret"], "action": "mask"})


def test_a_hit_names_the_upstreams_response() -> None:
    sent, reject = passed(BLOCKING, EVENTS, STREAM)
    message = "The upstream's response was rejected. The body contains text that is not allowed."
    assert reject == Reject(422, "content_rejected", message)
    assert b"sec" not in sent.replace(b"secret-1", b"").replace(b"chatcmpl-secret", b"")


@pytest.mark.parametrize(
    ("rejected", "content_type"),
    [
        ({"allowed_types": ["application/json"]}, STREAM),
        ({"json_schema": {}}, STREAM),
        ({"required_fields": ["a"]}, "application/x-ndjson"),
        ({"fields": ["a"]}, STREAM),
        ({"blocked_patterns": ["x"]}, "text/event-stream; charset=utf-16"),
        ({"max_json_depth": 1}, "text/event-stream; charset=utf-16"),
    ],
)
def test_response_that_violates_a_rule_by_its_head_is_rejected_there(
    rejected: dict[str, Any], content_type: str
) -> None:
    plugin = ContentValidator.parse(rejected)
    assert isinstance(plugin.pre_response_events(responded_with(content_type)), Reject)
    assert isinstance(whole(plugin, b'{"a": 1}\n', content_type), Reject)


@pytest.mark.parametrize("body", [b'data: {"a":1,"a":2}\n\n', b"data: " + b"[" * 65 + b"]" * 65 + b"\n\n"])
def test_events_that_could_be_read_in_two_ways_are_rejected_on_either_path(body: bytes) -> None:
    plugin = ContentValidator.parse({"blocked_patterns": ["x"]})
    assert passed(plugin, body, STREAM)[1] is not None
    assert isinstance(whole(plugin, body, STREAM), Reject)
    assert passed(ContentValidator.parse({"max_size": 999}), body, STREAM) == (body, None)


def test_the_depth_of_events_is_bounded() -> None:
    plugin = ContentValidator.parse({"max_json_depth": 2})
    assert passed(plugin, b"data: [[1]]\n\n", STREAM)[1] is None
    assert passed(plugin, b"data: [[[1]]]\n\n", STREAM)[1] is not None


@pytest.mark.parametrize(
    ("settings_", "pattern"),
    [
        ({"blocked_patterns": ["fine", "a.*b"]}, "a.*b"),
        ({"required_patterns": ["(a+)+$"]}, "(a+)+$"),
        ({"blocked_patterns": ["a{513}"]}, "a{513}"),
        ({"blocked_patterns": [r"\C"]}, r"\C"),
        ({"blocked_patterns": ["a.{0,20}b", "a{512}"], "required_patterns": ["x?"]}, None),
        ({}, None),
    ],
)
def test_only_a_pattern_without_a_bound_needs_whole_responses(settings_: Any, pattern: str | None) -> None:
    needs = ContentValidator.parse(settings_).needs_whole_body()
    if pattern is None:
        assert needs is None
        return
    assert needs is not None
    assert needs.reason == f"has the pattern {pattern!r}, which may match more than 512 characters"
    name, number = needs.pointer[1:].split("/")
    assert settings_[name][int(number)] == pattern
    assert needs.remedy


def test_a_collected_stream_is_masked_in_its_coding() -> None:
    verdict = whole(MASKING, encode(EVENTS, "gzip"), STREAM, content_encoding="gzip")
    assert isinstance(verdict, Patch)
    assert ENDPOINTS[0].read_stream(decode(verdict.body or b"", "gzip")) == "the ******"
    assert whole(MASKING, ENDPOINTS[0].stream(["hello"]), STREAM) == CONTINUE


class TestRequests:
    """A client's bytes may be read otherwise than its type says."""

    @pytest.mark.parametrize("content_type", [STREAM, "application/x-ndjson"])
    @pytest.mark.parametrize("plugin", [BLOCKING, MASKING], ids=["block", "mask"])
    def test_a_false_type_hides_nothing(self, content_type: str, plugin: ContentValidator) -> None:
        body = rb'{"messages": [{"content": "a \u0073ecret"}]}'
        verdict = plugin.pre_request(exchange(body, content_type=content_type))
        if plugin is MASKING and content_type != STREAM:
            assert isinstance(verdict, Patch)
            assert json.loads(verdict.body or b"")["messages"] == [{"content": "a ******"}]
        else:
            assert isinstance(verdict, Reject)

    def test_lines_are_judged_and_masked(self) -> None:
        lines = exchange(b'{"q": "a sec"}\n{"q": "ret"}\n', content_type="application/x-ndjson")
        assert isinstance(BLOCKING.pre_request(lines), Reject)
        assert MASKING.pre_request(lines) == Patch(body=b'{"q":"a ***"}\n{"q":"***"}\n')

    def test_messages_are_masked(self) -> None:
        assert MASKING.changes == {"body"}
        body = b'{"messages":[{"role":"user","content":"my secret"}]}'
        verdict = MASKING.pre_request(exchange(body, content_type="application/json"))
        assert verdict == Patch(body=body.replace(b"secret", b"******"))


@pytest.mark.parametrize("content_type", ["text/plain", "text/html", "application/octet-stream", ""])
@pytest.mark.parametrize("end", LINE_ENDS)
@pytest.mark.parametrize("endpoint", [one for one in ENDPOINTS if not one.lines], ids=lambda one: one.name)
def test_events_of_another_type_are_judged_as_events(endpoint: Endpoint, end: str, content_type: str) -> None:
    stream = endpoint.stream(["the sec", "ret"], end)
    rejecting = ContentValidator.parse({"blocked_patterns": ["the secret"]})
    assert isinstance(whole(rejecting, stream, content_type), Reject)
    assert isinstance(whole(rejecting, b"\xef\xbb\xbf" + stream, content_type), Reject)
    assert whole(rejecting, endpoint.stream(["the sec", "ond"], end), content_type) is CONTINUE
    masking = ContentValidator.parse({"blocked_patterns": ["the secret"], "action": "mask"})
    masked = whole(masking, stream, content_type)
    assert isinstance(masked, Patch)
    assert endpoint.read_stream(masked.body or b"") == "**********"


def test_text_that_only_has_a_line_like_one_of_an_event_is_judged_as_text() -> None:
    text = b"name: x\ndata: the sec\n\nmore: ret, the secret\n"
    plugin = ContentValidator.parse({"blocked_patterns": ["the secret"], "action": "mask"})
    masked = whole(plugin, text, "text/plain")
    assert isinstance(masked, Patch)
    assert masked.body == text.replace(b"the secret", b"**********")


CHOICES = {
    "block": {"blocked_patterns": ["secret", r"é\d"]},
    "mask": {"blocked_patterns": ["secret", r"é\d"], "action": "mask"},
    "must": {"required_patterns": ["secret"]},
}
AXES = (ENDPOINTS, list(CHOICES), ["a secret", "é7 secre", "secre t"])


@pytest.mark.parametrize(
    ("endpoint", "choice", "text", "step"),
    [*((*case, 9) for case in pairwise(*AXES)), *slow(*((*case, 1) for case in itertools.product(*AXES)))],
    ids=lambda value: value.name if isinstance(value, Endpoint) else str(value),
)
def test_cut_body_gets_verdict_of_the_whole(endpoint: Endpoint, choice: str, text: str, step: int) -> None:
    plugin = ContentValidator.parse(CHOICES[choice])
    body, content_type = whole_response(endpoint, text)
    verdict = whole(plugin, body, content_type)
    rejected = isinstance(verdict, Reject)
    for place in range(len(text) + 1):
        stream = endpoint.stream([text[:place], text[place:]])
        collected = whole(plugin, stream, endpoint.content_type)
        sent, reject = passed(plugin, stream, endpoint.content_type, range(len(stream)))
        assert (isinstance(collected, Reject), reject is not None) == (rejected, rejected)
        if not rejected:
            assert sent == (collected.body if isinstance(collected, Patch) else stream)
    stream = endpoint.stream([text[:4], text[4:]])
    expected = passed(plugin, stream, endpoint.content_type)
    for byte in range(0, len(stream), step):
        assert passed(plugin, stream, endpoint.content_type, [byte]) == expected
