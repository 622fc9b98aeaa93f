"""The usage of responses as providers send them: whole and as streams, cut anywhere, and broken off."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import anthropic
import httpx2
import openai
import pytest
from anthropic.types import Message
from openai.types import Completion, CreateEmbeddingResponse, ImagesResponse
from openai.types.audio import Transcription, TranscriptionTextDoneEvent
from openai.types.chat import ChatCompletion
from openai.types.responses import Response

from shared.providers.usage_fields import USAGE_FIELDS
from shared.usage.meter import MAX_LINE, MAX_WHOLE, UsageMeter
from shared.usage.row import Source, Usage

FOLDER = Path(__file__).parents[1] / "fixtures" / "usage"
#: The estimated input that the tests give.
ESTIMATE = 33


class Recorded(NamedTuple):
    """A response, and the usage that it reports."""

    file: str
    api: str
    usage: Usage

    @property
    def body(self) -> bytes:
        return (FOLDER / self.file).read_bytes()

    @property
    def is_stream(self) -> bool:
        return not self.file.endswith(".json")

    def meter(self, kind: str = "") -> UsageMeter:
        return UsageMeter(self.api, kind)

    def feed(self, meter: UsageMeter, piece: bytes) -> None:
        (meter.feed_stream if self.is_stream else meter.feed_whole)(piece)


_CHAT = Usage(input=2006, input_cached=1920, output=300, reasoning=256)
_TOOLS = Usage(input=182, output=57, audio_in=100, audio_out=40)
_RESPONSES = Usage(input=1040, input_cached=768, cache_write_5m=128, output=75, reasoning=64)
_ANTHROPIC = Usage(
    input=8728, input_cached=7123, cache_write_5m=1000, cache_write_1h=500, output=239, searches=2
)
_GEMINI = Usage(input=2192, input_cached=2027, output=97, reasoning=91, audio_in=2000)
_GROQ = Usage(input=18, input_cached=12, output=556, reasoning=30)
_DEEPSEEK = Usage(input=160, input_cached=128, output=210, reasoning=200)

RECORDED = [
    Recorded("openai_chat.json", "openai.chat", _CHAT),
    Recorded("openai_chat.sse", "openai.chat", _CHAT),
    Recorded("openai_chat_tools.json", "openai.chat", _TOOLS),
    Recorded("openai_chat_tools.sse", "openai.chat", _TOOLS),
    Recorded("openai_completions.json", "openai.completions", Usage(input=5, output=7)),
    Recorded("openai_completions.sse", "openai.completions", Usage(input=5, output=7)),
    Recorded("openai_responses.json", "openai.responses", _RESPONSES),
    Recorded("openai_responses.sse", "openai.responses", _RESPONSES),
    Recorded("openai_responses_incomplete.sse", "openai.responses", Usage(input=12, output=16)),
    Recorded("openai_embeddings.json", "openai.embeddings", Usage(input=8)),
    Recorded("cohere_embeddings.json", "openai.embeddings", Usage(input=3)),
    Recorded("openai_images.json", "openai.images", Usage(input=50, output=1056, images=1)),
    Recorded("openai_images.sse", "openai.images", Usage(input=50, output=1056, images=1)),
    Recorded("openai_audio.json", "openai.audio", Usage(input=140, output=45, audio_in=130)),
    Recorded("openai_audio_by_duration.json", "openai.audio", Usage(seconds=9)),
    Recorded("openai_audio.sse", "openai.audio", Usage(input=140, output=45, audio_in=130)),
    Recorded("anthropic_messages.json", "anthropic.messages", _ANTHROPIC),
    Recorded("anthropic_messages.sse", "anthropic.messages", _ANTHROPIC),
    Recorded("anthropic_plain.sse", "anthropic.messages", Usage(input=25, output=15)),
    Recorded("gemini.json", "gemini", _GEMINI),
    Recorded("gemini.sse", "gemini", _GEMINI),
    Recorded("gemini_list.json", "gemini", Usage(input=8, output=6)),
    Recorded("ollama.json", "ollama", Usage(input=26, output=237)),
    Recorded("ollama.ndjson", "ollama", Usage(input=26, output=237)),
    Recorded("azure_chat.json", "openai.chat", Usage(input=18, output=10)),
    Recorded("azure_chat.sse", "openai.chat", Usage(input=18, output=10)),
    Recorded("groq_chat.json", "openai.chat", _GROQ),
    Recorded("groq_chat.sse", "openai.chat", _GROQ),
    Recorded("mistral_chat.json", "openai.chat", Usage(input=16, output=34)),
    Recorded("mistral_chat.sse", "openai.chat", Usage(input=16, output=34)),
    Recorded("deepseek_chat.json", "openai.chat", _DEEPSEEK),
    Recorded("deepseek_chat.sse", "openai.chat", _DEEPSEEK),
    Recorded("vllm_chat.json", "openai.chat", Usage(input=14, output=8)),
    Recorded("vllm_chat.sse", "openai.chat", Usage(input=14, output=8)),
]
STREAMS = [one for one in RECORDED if one.is_stream]
#: Responses that report no tokens, with the pictures in them.
SILENT = [
    (Recorded("vllm_silent.sse", "openai.chat", Usage()), 0),
    (Recorded("vllm_silent.json", "openai.chat", Usage()), 0),
    (Recorded("openai_images_by_address.json", "openai.images", Usage()), 2),
]


def of_file(one: object) -> str:
    return one.file if isinstance(one, Recorded) else str(one)


def measured(one: Recorded, *pieces: bytes, is_complete: bool = True) -> Usage:
    meter = one.meter()
    for piece in pieces:
        one.feed(meter, piece)
    return meter.finish(estimate=ESTIMATE, is_complete=is_complete)


@pytest.mark.parametrize("one", RECORDED, ids=of_file)
def test_the_usage_of_a_response_is_the_one_that_the_provider_reports(one: Recorded) -> None:
    assert measured(one, one.body) == one.usage


def test_each_api_and_provider_has_a_response_whole_and_one_as_a_stream() -> None:
    forms = {(one.file.partition(".")[0], one.is_stream) for one in RECORDED}
    pairs = ("openai_chat", "openai_chat_tools", "openai_completions", "openai_responses", "openai_images")
    pairs += ("openai_audio", "anthropic_messages", "gemini", "ollama", "azure_chat", "groq_chat")
    pairs += ("mistral_chat", "deepseek_chat", "vllm_chat")
    assert {(name, is_stream) for name in pairs for is_stream in (False, True)} <= forms
    assert {one.api for one in RECORDED} == {*USAGE_FIELDS}


def cut_everywhere(body: bytes, step: int) -> Iterator[tuple[bytes, bytes]]:
    for cut in range(1, len(body), step):
        yield body[:cut], body[cut:]


@pytest.mark.parametrize("one", RECORDED, ids=of_file)
def test_the_usage_is_the_same_whichever_byte_a_response_is_cut_at(one: Recorded) -> None:
    for pieces in cut_everywhere(one.body, 1):
        assert measured(one, *pieces) == one.usage
    assert measured(one, *(bytes([byte]) for byte in one.body)) == one.usage


@pytest.mark.parametrize("one", STREAMS, ids=of_file)
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_the_usage_is_the_same_with_both_ends_of_lines(one: Recorded, end: bytes) -> None:
    body = one.body.replace(b"\r\n", b"\n").replace(b"\n", end)
    for pieces in cut_everywhere(body, 97):
        assert measured(one, *pieces) == one.usage
    assert measured(one, body.rstrip()) == one.usage


@pytest.mark.parametrize("one", STREAMS, ids=of_file)
def test_a_stream_that_breaks_off_used_at_least_what_was_reported_and_what_passed(one: Recorded) -> None:
    lines = one.body.splitlines(keepends=True)
    for end in range(len(lines) + 1):
        meter = one.meter()
        for line in lines[:end]:
            one.feed(meter, line)
        reported = measured(one, *lines[:end])
        usage = meter.finish(estimate=ESTIMATE, is_complete=False)
        assert usage.input in (ESTIMATE, one.usage.input, 25 + 7123 + 1500, 2152)
        assert usage.output >= meter.tokens
        assert usage.output >= (reported.output if reported.source is Source.REPORTED else 0)
        assert usage.output or not any(b"delta" in line or b'"content"' in line for line in lines[:end])


@pytest.mark.parametrize(("one", "pictures"), SILENT, ids=of_file)
def test_a_response_that_reports_nothing_is_estimated_and_not_free(one: Recorded, pictures: int) -> None:
    for pieces in cut_everywhere(one.body, 9):
        usage = measured(one, *pieces)
        assert (usage.input, usage.images, usage.source) == (ESTIMATE, pictures, Source.ESTIMATED)
    whole = measured(one, one.body)
    assert (5 <= whole.output <= 15) == (one.api != "openai.images")


@pytest.mark.parametrize("one", [one for one in STREAMS if one.api != "openai.images"], ids=of_file)
def test_the_usage_of_a_stream_that_was_collected_is_read(one: Recorded) -> None:
    meter = one.meter()
    meter.feed_whole(one.body)
    assert meter.finish(estimate=ESTIMATE) == one.usage


def test_the_estimate_of_pictures_is_their_number_and_not_their_bytes() -> None:
    picture = json.dumps({"data": [{"b64_json": "A" * MAX_WHOLE * 3}] * 2}).encode()
    meter = UsageMeter("openai.images")
    for at in range(0, len(picture), 16_384):
        meter.feed_whole(picture[at : at + 16_384])
    assert meter.finish(estimate=5) == Usage(input=5, images=2, source=Source.ESTIMATED)


def test_pictures_of_a_response_that_was_collected_are_counted() -> None:
    meter = UsageMeter("openai.images")
    meter.body = b'{"data": [{"url": "https://a"}, {"url": "https://b"}]}'
    assert meter.finish(estimate=5) == Usage(input=5, images=2, source=Source.ESTIMATED)


@pytest.mark.parametrize("size", [MAX_WHOLE * 2, MAX_LINE + 1, MAX_LINE * 3])
@pytest.mark.parametrize("step", [1_000, 65_536, 10**8])
def test_the_usage_behind_a_large_picture_is_read_whole_and_streamed(size: int, step: int) -> None:
    for one in (one for one in RECORDED if one.api == "openai.images"):
        body = one.body.replace(b"iVBORw0KGgo", b"A" * size)
        assert measured(one, *(body[at : at + step] for at in range(0, len(body), step))) == one.usage
        assert measured(one, body.rstrip()) == one.usage


def test_the_usage_behind_many_vectors_is_read() -> None:
    vectors = [{"object": "embedding", "index": 0, "embedding": [0.123456789] * 40_000}]
    body = json.dumps({"object": "list", "data": vectors, "usage": {"prompt_tokens": 9, "total_tokens": 9}})
    meter = UsageMeter("openai.embeddings")
    for at in range(0, len(body), 5_000):
        meter.feed_whole(body[at : at + 5_000].encode())
    assert meter.finish(estimate=1) == Usage(input=9)


@pytest.mark.parametrize(
    ("file", "api", "tier"),
    [
        ("openai_chat.json", "openai.chat", "priority"),
        ("openai_chat.sse", "openai.chat", "priority"),
        ("anthropic_messages.json", "anthropic.messages", "priority"),
        ("anthropic_messages.sse", "anthropic.messages", "priority"),
        ("mistral_chat.sse", "openai.chat", ""),
    ],
)
def test_the_service_tier_is_the_one_of_the_response(file: str, api: str, tier: str) -> None:
    one = Recorded(file, api, Usage())
    meter = one.meter()
    body = one.body.replace(b'service_tier":"default', b'service_tier":"priority')
    one.feed(meter, body.replace(b'service_tier":"standard', b'service_tier":"priority'))
    meter.finish(estimate=1)
    assert meter.reported.tier == tier


@pytest.mark.parametrize(
    ("kind", "reported", "usage"),
    [
        (
            "xai",
            {
                "prompt_tokens": 32,
                "completion_tokens": 9,
                "completion_tokens_details": {"reasoning_tokens": 94},
            },
            Usage(input=32, output=103, reasoning=94),
        ),
        (
            "perplexity",
            {
                "prompt_tokens": 9,
                "completion_tokens": 500,
                "citation_tokens": 80,
                "num_search_queries": 21,
                "reasoning_tokens": 300,
            },
            Usage(input=9, output=880, reasoning=300, searches=21),
        ),
        (
            "openai",
            {
                "prompt_tokens": 9,
                "completion_tokens": 500,
                "completion_tokens_details": {"reasoning_tokens": 300},
            },
            Usage(input=9, output=500, reasoning=300),
        ),
    ],
)
def test_a_provider_that_counts_reasoning_beside_the_output_is_added_up(
    kind: str, reported: dict[str, Any], usage: Usage
) -> None:
    meter = UsageMeter("openai.chat", kind)
    meter.feed_whole(json.dumps({"choices": [], "usage": reported}).encode())
    assert meter.finish(estimate=1) == usage


# The SDKs of OpenAI and Anthropic as the oracle: what they show to their user.


def _of_openai(reported: Any) -> Usage:
    """The usage that the SDK shows of chat, completions and embeddings."""
    inputs = getattr(reported, "prompt_tokens_details", None)
    outputs = getattr(reported, "completion_tokens_details", None)
    return Usage(
        input=reported.prompt_tokens,
        output=getattr(reported, "completion_tokens", 0),
        input_cached=getattr(inputs, "cached_tokens", None)
        or getattr(reported, "prompt_cache_hit_tokens", 0),
        audio_in=getattr(inputs, "audio_tokens", None) or 0,
        audio_out=getattr(outputs, "audio_tokens", None) or 0,
        reasoning=getattr(outputs, "reasoning_tokens", None) or 0,
    )


def _of_responses(reported: Any) -> Usage:
    return Usage(
        input=reported.input_tokens,
        input_cached=reported.input_tokens_details.cached_tokens,
        cache_write_5m=getattr(reported.input_tokens_details, "cache_write_tokens", None) or 0,
        output=reported.output_tokens,
        reasoning=reported.output_tokens_details.reasoning_tokens,
    )


def _of_anthropic(reported: Any) -> Usage:
    written = reported.cache_creation
    return Usage(
        input=sum(
            count or 0
            for count in (
                reported.input_tokens,
                reported.cache_read_input_tokens,
                reported.cache_creation_input_tokens,
            )
        ),
        input_cached=reported.cache_read_input_tokens or 0,
        cache_write_5m=written.ephemeral_5m_input_tokens if written else 0,
        cache_write_1h=written.ephemeral_1h_input_tokens if written else 0,
        output=reported.output_tokens,
        searches=reported.server_tool_use.web_search_requests if reported.server_tool_use else 0,
    )


def _whole(one: Recorded) -> Usage:
    match one.api:
        case "openai.chat":
            return _of_openai(ChatCompletion.model_validate_json(one.body).usage)
        case "openai.completions":
            return _of_openai(Completion.model_validate_json(one.body).usage)
        case "openai.embeddings":
            return _of_openai(CreateEmbeddingResponse.model_validate_json(one.body).usage)
        case "openai.responses":
            return _of_responses(Response.model_validate_json(one.body).usage)
        case "openai.images":
            made = ImagesResponse.model_validate_json(one.body)
            assert made.usage
            assert made.data
            tokens = made.usage
            return Usage(input=tokens.input_tokens, output=tokens.output_tokens, images=len(made.data))
        case "openai.audio":
            heard: Any = Transcription.model_validate_json(one.body).usage
            return _of_audio(heard)
    return _of_anthropic(Message.model_validate_json(one.body).usage)


def _of_audio(reported: Any) -> Usage:
    if reported.type == "duration":
        return Usage(seconds=int(reported.seconds))
    return Usage(
        input=reported.input_tokens,
        output=reported.output_tokens,
        audio_in=reported.input_token_details.audio_tokens,
    )


def _streamed(one: Recorded) -> Usage:
    head = {"content-type": "text/event-stream"}
    transport = httpx2.MockTransport(lambda _: httpx2.Response(200, headers=head, content=one.body))
    with httpx2.Client(transport=transport) as http:
        if one.api == "anthropic.messages":
            sdk = anthropic.Anthropic(api_key="k", http_client=http)
            with sdk.messages.stream(model="m", max_tokens=9, messages=[]) as stream:
                return _of_anthropic(stream.get_final_message().usage)
        client = openai.OpenAI(api_key="k", http_client=http)
        if one.api == "openai.responses":
            events = list(client.responses.create(model="m", input="", stream=True))
            return _of_responses(events[-1].response.usage)  # type: ignore[union-attr]
        if one.api == "openai.images":
            *_, last = client.images.generate(model="m", prompt="", stream=True)
            assert last.type == "image_generation.completed"
            return Usage(input=last.usage.input_tokens, output=last.usage.output_tokens, images=1)
        if one.api == "openai.audio":
            *_, done = client.audio.transcriptions.create(model="m", file=b"x", stream=True)
            assert isinstance(done, TranscriptionTextDoneEvent)
            return _of_audio(done.usage)
        chunks: Any = (
            client.completions.create(model="m", prompt="", stream=True)
            if one.api == "openai.completions"
            else client.chat.completions.create(model="m", messages=[], stream=True)
        )
        reported = [chunk.usage or (getattr(chunk, "x_groq", None) or {}).get("usage") for chunk in chunks]
        last = [each for each in reported if each][-1]
        return _of_openai(ChatCompletion.model_validate(_HOLDER | {"usage": last}).usage)


_HOLDER = {"id": "", "choices": [], "created": 0, "model": "", "object": "chat.completion"}
_WITH_SDK = [
    one
    for one in RECORDED
    if one.api.startswith(("openai.", "anthropic.")) and not one.file.startswith("cohere_")
]


@pytest.mark.parametrize("one", _WITH_SDK, ids=of_file)
def test_the_usage_is_what_the_sdk_of_the_provider_shows(one: Recorded) -> None:
    assert measured(one, one.body) == (_streamed(one) if one.is_stream else _whole(one))


def test_whole_and_streamed_responses_of_one_call_have_the_same_usage() -> None:
    by_name: dict[str, Usage] = {}
    for one in RECORDED:
        usage = measured(one, one.body)
        assert by_name.setdefault(one.file.partition(".")[0], usage) == usage
