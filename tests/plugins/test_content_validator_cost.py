"""The cost of hostile requests and responses: the right rejection, flat memory, and no stalled loop."""

import asyncio
import gc
import gzip
import json
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from typing import Any, cast

import brotli
import pytest
import zstandard

from mitm_engine.engine import GC_THRESHOLDS
from shared.bodies.event_splitter import event_splitter
from shared.http.media_type import MediaType
from shared.model.messages import Response
from shared.pipeline.plugin import CONTINUE, Reject, Tools, Verdict
from shared.pipeline.pool import PluginPool
from shared.plugins.content_validator import ContentValidator
from tests.bodies.streams import ENDPOINTS
from tests.plugins.exchanges import exchange, head
from tests.support.cases import pairwise

LARGE = 100_000_000
MB = 1024 * 1024
ZEROS = bytes(LARGE)
BOMBS = {
    "gzip": lambda: gzip.compress(ZEROS),
    "deflate": lambda: zlib.compress(ZEROS),
    "br": lambda: brotli.compress(ZEROS, quality=1),
    "zstd": lambda: zstandard.ZstdCompressor().compress(ZEROS),
}
JSON, UNSUPPORTED = "application/json", "unsupported_content_type"
ZIPPED = gzip.compress(b"{}", mtime=0)


def requested(plugin: ContentValidator, body: bytes, headers: dict[str, Any]) -> Verdict:
    return plugin.pre_request(exchange(body, **headers))


def responded(plugin: ContentValidator, body: bytes, headers: dict[str, Any]) -> Verdict:
    return plugin.pre_response(exchange(b"{}", response=Response(200, head(**headers), body)))


sides = pytest.mark.parametrize("judge", [requested, responded])
Judge = Callable[[ContentValidator, bytes, dict[str, Any]], Verdict]


def code(judge: Judge, verdict: Verdict, wanted: str) -> None:
    """An answer's refusal never blames the client."""
    assert isinstance(verdict, Reject)
    assert verdict.code == ("content_rejected" if judge is responded else wanted)
    assert 400 <= verdict.status < 500


@pytest.mark.parametrize(
    ("judge", "action", "coding", "content_type"),
    pairwise([requested, responded], ["block", "mask"], list(BOMBS), [JSON, "text/event-stream"]),
)
def test_a_bomb_is_rejected_while_small(judge: Judge, action: str, coding: str, content_type: str) -> None:
    plugin = ContentValidator.parse({"blocked_patterns": ["x"], "action": action})
    bomb = BOMBS[coding]()
    tracemalloc.start()
    try:
        verdict = judge(plugin, bomb, {"content_type": content_type, "content_encoding": coding})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    code(judge, verdict, "body_too_large")
    assert peak < 24 * MB


UTF_16_FILE = (
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
    + "the secret".encode("utf-16")
    + b"\r\n--x--\r\n"
)


@sides
@pytest.mark.parametrize(
    ("body", "headers", "wanted"),
    [
        (gzip.compress(ZIPPED, mtime=0), {"content_encoding": "gzip, gzip"}, UNSUPPORTED),
        (ZIPPED, {"content_encoding": ("gzip", "br")}, UNSUPPORTED),
        (ZIPPED + ZIPPED, {"content_encoding": "gzip"}, "bad_request"),
        (b"{}", {"content_encoding": "x-unknown"}, UNSUPPORTED),
        ("{}".encode("utf-16"), {"content_type": "application/json; charset=utf-16"}, UNSUPPORTED),
        ('{"q": "x"}'.encode("utf-16"), {}, "invalid_json"),
        ("the secret".encode("utf-16"), {"content_type": "text/plain"}, UNSUPPORTED),
        ("the secret".encode("utf-16"), {"content_type": "application/octet-stream"}, UNSUPPORTED),
        (UTF_16_FILE, {"content_type": "multipart/form-data; boundary=x"}, UNSUPPORTED),
        (b"+AHs-", {"content_type": "application/json; charset=utf-7"}, UNSUPPORTED),
        (b'{"q": "\xff"}', {}, "invalid_json"),
        (b'\xef\xbb\xbf{"q": 1}', {}, "invalid_json"),
        (b'{"q": "hello", "q": "x"}', {}, "invalid_json"),
        (rb'{"q": "\ud800"}', {}, "invalid_json"),
        (b'{"q": NaN}', {}, "invalid_json"),
        (b'{"q": 1' + b"0" * 5000 + b"}", {}, "invalid_json"),
        (b"[" * 1_000_000, {}, "invalid_json"),
        (b"{}", {"content_type": (JSON, "text/plain")}, UNSUPPORTED),
    ],
)
def test_an_ambiguous_body_is_rejected(judge: Judge, body: bytes, headers: Any, wanted: str) -> None:
    plugin = ContentValidator.parse({"blocked_patterns": ["secret"]})
    code(judge, judge(plugin, body, {"content_type": JSON, **headers}), wanted)


@sides
@pytest.mark.parametrize("settings", [{"blocked_patterns": ["x"]}, {"required_fields": ["a"]}])
@pytest.mark.parametrize("content_type", [JSON, "text/plain"])
@pytest.mark.parametrize("unit", [b"[],", b'"a",', b"1,1,1,1,1,1,", b'{"a":1},'])
def test_json_of_many_parts_is_rejected(judge: Judge, settings: Any, content_type: str, unit: bytes) -> None:
    plugin = ContentValidator.parse(settings)
    verdict = judge(plugin, b"[" + unit * 100_000 + b"1]", {"content_type": content_type})
    code(judge, verdict, "invalid_json")
    assert isinstance(verdict, Reject)
    assert "more than 100000 strings, names, arrays and objects" in verdict.message


def test_the_operator_says_how_many_parts_json_may_have() -> None:
    plugin = ContentValidator.parse({"required_fields": ["a"]})
    plugin.start(Tools(cast(Any, None), cast(Any, None), cast(Any, None), json_parts=3))
    code(requested, requested(plugin, b'{"a":["b"]}', {"content_type": JSON}), "invalid_json")
    assert requested(plugin, b'{"a":"b"}', {"content_type": JSON}) is CONTINUE


@pytest.mark.slow
@pytest.mark.parametrize("content_type", ["text/event-stream", "application/x-ndjson"])
def test_a_body_of_very_many_events_is_rejected_before_all_are_judged(content_type: str) -> None:
    plugin = ContentValidator.parse({"blocked_patterns": ["x"]})
    verdict = requested(plugin, b"1\n\n" * 110_000, {"content_type": content_type})
    code(requested, verdict, "body_too_large")


def message(**fields: Any) -> bytes:
    return json.dumps({"choices": [{"message": fields}]}).encode()


LONG = "a" * (10 * MB - 100)
COSTLY = {
    "text": (LONG.encode(), "text/plain"),
    "a message": (message(content=LONG + "b"), JSON),
    "arguments full of escapes": (message(function_call={"arguments": "\\n" * MB}), JSON),
    "an event": (b'data: {"response": "' + b"a" * (MB - 100) + b'"}\n\n', "text/event-stream"),
    "an event with a picture": (
        b'data: {"type": "image_generation.completed", "b64_json": "' + b"a" * 9 * MB + b'"}\n\n',
        "text/event-stream",
    ),
    "a picture": (b'{"data": [{"b64_json": "' + b"a" * 9 * MB + b'"}]}', JSON),
    "a text file in base64": (
        json.dumps(
            {"contents": [{"parts": [{"inlineData": {"mimeType": "text/plain", "data": "YWFh" * 2 * MB}}]}]}
        ).encode(),
        JSON,
    ),
    "a form with many parts": (
        b"".join(
            b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n" + b"a" * 9000 + b"\r\n"
            for _ in range(999)
        )
        + b"--x--\r\n",
        "multipart/form-data; boundary=x",
    ),
    "a form that never ends": (b"--x\r\n" * MB, "multipart/form-data; boundary=x"),
    "a form with many values in JSON": (b"a=[]&" * 2 * MB, "application/x-www-form-urlencoded"),
    "lines of JSON as text": (
        b'{"a":"' + b"a" * 900 + b'"}\n' + (b'{"a":"' + b"a" * 900 + b'"}\n') * 9000,
        "text/plain",
    ),
    "very many lines as text": (b"[]\n" * 3 * MB, "text/plain"),
    "nesting": (b"[" * 9 * MB, JSON),
    "as many texts as may be": (b"[" + b",".join([b'"' + b"a" * 90 + b'"'] * 83_000) + b"]", JSON),
    "as many arrays as may be": (b"[" + b",".join([b"[]"] * 83_000) + b"]", JSON),
    "as many names as may be": (json.dumps({f"{name:0100}": name for name in range(83_000)}).encode(), JSON),
    "as many numbers as may be": (b"[" + b",".join([b"-0.012345678"] * 499_000) + b"]", JSON),
    "numbers that are forwarded": (
        b'{"x":1,"messages":[' + b",".join([b"-0.012345678"] * 490_000) + b"]}",
        JSON,
    ),
    "more arrays than may be": (b"[" + b"[]," * 3 * MB + b"[]]", JSON),
    "more texts than may be": (b"[" + b'"a",' * 2 * MB + b'""]', JSON),
    "code that is one text": (json.dumps({"messages": [{"content": '[{"x": [1]}],' * MB}]}).encode(), JSON),
    "an event without an end": (b"data: " + b"a" * 10 * MB, "text/event-stream"),
    "events of one byte": (b"\r" * 10 * MB, "text/event-stream"),
    "lines of an object": (b"{}\n" * 3 * MB, "application/x-ndjson"),
    "a form of percent codes": (b"%41" * 3 * MB, "application/x-www-form-urlencoded"),
    "no text at all": (b"\xff" * 10 * MB, "text/plain"),
}
SETTINGS: dict[str, dict[str, Any]] = {
    "block": {"blocked_patterns": ["(a+)+$b", "(x+x+)+y"]},
    "mask": {"blocked_patterns": ["(a+)+$b", "(x+x+)+y"], "action": "mask"},
    "fields": {"fields": ["messages", "choices"]},
    "schema": {"json_schema": {"additionalProperties": {"type": "integer"}, "items": {"type": "number"}}},
}


@pytest.fixture
def collected_as_in_a_worker() -> Iterator[None]:
    """The heap of the tests themselves is none of a worker's."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.usefixtures("collected_as_in_a_worker")
@sides
@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("name", COSTLY)
def test_no_body_and_no_pattern_stalls_the_loop(judge: Judge, settings: str, name: str) -> None:
    plugin = ContentValidator.parse(SETTINGS[settings])
    body, content_type = COSTLY[name]

    async def measured() -> float:
        loop, pool = asyncio.get_running_loop(), PluginPool(2, 8)
        before = loop.time()
        work = asyncio.wrap_future(pool.submit(judge, plugin, body, {"content_type": content_type}))
        worst = loop.time() - before
        while not work.done():
            before = loop.time()
            await asyncio.sleep(0.001)
            worst = max(worst, loop.time() - before - 0.001)
        pool.shutdown()
        return worst

    assert min(asyncio.run(measured()) for _ in range(3)) < 0.050


@pytest.mark.slow
@sides
def test_text_full_of_escapes_is_judged_nearly_as_fast_as_other_text(judge: Judge) -> None:
    plugin = ContentValidator.parse({"blocked_patterns": ["secret"]})

    def seconds(arguments: str) -> float:
        body, before = message(function_call={"arguments": arguments}), time.process_time()
        assert judge(plugin, body, {"content_type": JSON}) is CONTINUE
        return time.process_time() - before

    # Character by character, it took 80 times as long.
    plain = min(seconds("ab" * MB) for _ in range(3))
    for escape in ("\\n", "\\u00e9", '\\"', "\\\\", "\\x"):
        assert min(seconds(escape * (2 * MB // len(escape))) for _ in range(3)) < 20 * plain


def test_events_of_a_long_stream_take_flat_memory() -> None:
    plugin = ContentValidator.parse({"blocked_patterns": ["secret"], "action": "mask"})
    chat = ENDPOINTS[0]
    judge = plugin.pre_response_events(
        exchange(b"{}", response=Response(200, head(content_type="text/event-stream")))
    )
    events = [chat.stream(["some words and "]), chat.stream(["a se"])]
    splitter = event_splitter(MediaType("text/event-stream"), 20 * MB)
    assert splitter is not None
    tracemalloc.start()
    try:
        for _ in range(200):
            for body in events:
                for event in splitter.feed(body):
                    assert not isinstance(judge.feed(event), Reject)  # type: ignore[union-attr]
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 300_000
