"""The content validator on the bodies that the SDKs of OpenAI and of Anthropic build and parse."""

import base64
import json
from collections.abc import Callable
from typing import Any

import anthropic
import httpx2 as httpx
import openai
import pytest

from shared.model.messages import Headers, Request, Response
from shared.pipeline.plugin import CONTINUE, Reject, Verdict
from shared.plugins.content_validator import ContentValidator
from tests.plugins.exchanges import exchange

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 3
PICTURE = base64.b64encode(PNG).decode()
URL = f"data:image/png;base64,{PICTURE}"
#: Matches the base64 above, in which a guard must not look.
LETTERS = "[A-Za-z0-9+/]{60}"
BLOCKING = ContentValidator.parse({"blocked_patterns": [LETTERS]})
MASKING = ContentValidator.parse({"blocked_patterns": [LETTERS], "action": "mask"})
NEEDLE = ContentValidator.parse({"blocked_patterns": ["needle"]})


class Wire:
    """The requests and the responses of the SDKs go through a guard."""

    def __init__(self, guard: ContentValidator, response: bytes, content_type: str) -> None:
        self.guard = guard
        self.response = response
        self.content_type = content_type
        self.verdicts: list[Verdict] = []

    def __call__(self, sent: httpx.Request) -> httpx.Response:
        headers = Headers(sent.headers.multi_items())
        request = Request(sent.method, sent.url.path, headers, body=sent.read())
        self.verdicts.append(self.guard.pre_request(exchange(b"").with_request(request)))
        head = Headers([("Content-Type", self.content_type)])
        got = exchange(b"", response=Response(200, head, self.response))
        self.verdicts.append(self.guard.pre_response(got))
        return httpx.Response(200, headers={"content-type": self.content_type}, content=self.response)

    @property
    def http(self) -> httpx.Client:
        return httpx.Client(transport=httpx.MockTransport(self))

    def openai(self) -> openai.OpenAI:
        return openai.OpenAI(api_key="k", base_url="http://x/v1", http_client=self.http, max_retries=0)

    def anthropic(self) -> anthropic.Anthropic:
        return anthropic.Anthropic(api_key="k", base_url="http://x", http_client=self.http, max_retries=0)


def chat(wire: Wire) -> str | None:
    parts: list[Any] = [
        {"type": "text", "text": "a needle?"},
        {"type": "image_url", "image_url": {"url": URL, "detail": "low"}},
        {"type": "input_audio", "input_audio": {"data": PICTURE, "format": "wav"}},
        {
            "type": "file",
            "file": {"file_data": f"data:application/pdf;base64,{PICTURE}", "filename": "x.pdf"},
        },
    ]
    audio: Any = {"format": "wav", "voice": "alloy"}
    made = wire.openai().chat.completions.create(
        model="gpt-4o-audio-preview", messages=[{"role": "user", "content": parts}], audio=audio
    )
    found = made.choices[0].message.audio
    assert found is not None
    assert found.data == PICTURE
    return found.transcript


def responses(wire: Wire) -> str | None:
    parts: list[Any] = [
        {"type": "input_text", "text": "a needle?"},
        {"type": "input_image", "image_url": URL, "detail": "auto"},
        {"type": "input_file", "filename": "x.pdf", "file_data": f"data:application/pdf;base64,{PICTURE}"},
    ]
    items: list[Any] = [
        {"role": "user", "content": parts},
        {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": PICTURE},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": PICTURE},
        {
            "type": "computer_call_output",
            "call_id": "c",
            "output": {"type": "computer_screenshot", "image_url": URL},
        },
    ]
    made = wire.openai().responses.create(model="gpt-5", input=items, tools=[{"type": "image_generation"}])
    calls = [item for item in made.output if item.type == "image_generation_call"]
    assert [call.result for call in calls] == [PICTURE]
    return made.output_text


def embeddings(wire: Wire) -> str | None:
    made = wire.openai().embeddings.create(model="text-embedding-3-small", input=["a needle?"])
    assert len(made.data[0].embedding) == 96
    return None


def generated(wire: Wire) -> str | None:
    made = wire.openai().images.generate(model="gpt-image-1", prompt="a needle?")
    assert made.data
    assert made.data[0].b64_json == PICTURE
    return made.data[0].revised_prompt


def edited(wire: Wire) -> str | None:
    made = wire.openai().images.edit(
        model="gpt-image-1", prompt="a needle?", image=("x.png", PNG, "image/png")
    )
    assert made.data
    assert made.data[0].b64_json == PICTURE
    return made.data[0].revised_prompt


def transcribed(wire: Wire) -> str | None:
    wav = b"RIFF\x00\x01\x00\x00WAVE" + b"needle" * 99
    got = wire.openai().audio.transcriptions.create(
        model="whisper-1",
        file=("x.wav", wav, "audio/wav"),
        prompt="a needle?",
        response_format="verbose_json",
    )
    return got.text


def spoken(wire: Wire) -> str | None:
    made = wire.openai().audio.speech.create(model="tts-1", voice="alloy", input="a needle?")
    assert made.content == SOUND
    return None


def moderated(wire: Wire) -> str | None:
    parts: list[Any] = [
        {"type": "text", "text": "a needle?"},
        {"type": "image_url", "image_url": {"url": URL}},
    ]
    assert (
        not wire.openai().moderations.create(input=parts, model="omni-moderation-latest").results[0].flagged
    )
    return None


def messages(wire: Wire) -> str | None:
    source: Any = {"type": "base64", "media_type": "image/png", "data": PICTURE}
    parts: list[Any] = [
        {"type": "text", "text": "a needle?"},
        {"type": "image", "source": source},
        {"type": "document", "source": {**source, "media_type": "application/pdf"}},
        {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "image", "source": source}]},
    ]
    said: list[Any] = [
        {"type": "thinking", "thinking": "hm", "signature": PICTURE},
        {"type": "redacted_thinking", "data": PICTURE},
    ]
    made = wire.anthropic().messages.create(
        model="claude-opus-5-5",
        max_tokens=9,
        messages=[{"role": "user", "content": parts}, {"role": "assistant", "content": said}],
    )
    assert made.content[0].type == "thinking"
    assert made.content[0].signature == PICTURE
    return made.content[-1].text if made.content[-1].type == "text" else None


def counted(wire: Wire) -> str | None:
    source: Any = {"type": "base64", "media_type": "image/png", "data": PICTURE}
    parts: list[Any] = [{"type": "text", "text": "a needle?"}, {"type": "image", "source": source}]
    got = wire.anthropic().messages.count_tokens(model="m", messages=[{"role": "user", "content": parts}])
    assert got.input_tokens == 2095
    return None


SOUND = b"ID3\x04\x00" + b"needle" * 99
VECTOR = base64.b64encode(b"\x00\x00\x80\x3f" * 96).decode()
TEXT = "found a needle"
CALLS: dict[str, tuple[Callable[[Wire], str | None], Any]] = {
    "openai.chat": (
        chat,
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "gpt-4o",
            "choices": [
                {
                    "index": 0,
                    "finish_reason": "stop",
                    "message": {
                        "role": "assistant",
                        "content": None,
                        "audio": {"id": "a", "data": PICTURE, "expires_at": 1, "transcript": TEXT},
                    },
                }
            ],
        },
    ),
    "openai.responses": (
        responses,
        {
            "id": "resp_1",
            "object": "response",
            "created_at": 1,
            "model": "gpt-5",
            "status": "completed",
            "output": [
                {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": PICTURE},
                {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": PICTURE},
                {
                    "type": "message",
                    "id": "msg_1",
                    "role": "assistant",
                    "status": "completed",
                    "content": [{"type": "output_text", "text": TEXT, "annotations": []}],
                },
            ],
        },
    ),
    "openai.embeddings": (
        embeddings,
        {
            "object": "list",
            "model": "m",
            "data": [{"object": "embedding", "index": 0, "embedding": VECTOR}],
            "usage": {"prompt_tokens": 1, "total_tokens": 1},
        },
    ),
    "openai.images": (generated, {"created": 1, "data": [{"b64_json": PICTURE, "revised_prompt": TEXT}]}),
    "openai.images, edits": (edited, {"created": 1, "data": [{"b64_json": PICTURE, "revised_prompt": TEXT}]}),
    "openai.audio, transcriptions": (
        transcribed,
        {
            "task": "transcribe",
            "language": "english",
            "duration": 1.5,
            "text": TEXT,
            "segments": [],
            "words": [],
        },
    ),
    "openai.audio, speech": (spoken, SOUND),
    "openai.moderations": (
        moderated,
        {"id": "m", "model": "m", "results": [{"flagged": False, "categories": {}, "category_scores": {}}]},
    ),
    "anthropic.messages": (
        messages,
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "claude",
            "stop_reason": "end_turn",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": PICTURE},
                {"type": "redacted_thinking", "data": PICTURE},
                {"type": "text", "text": TEXT},
            ],
            "usage": {"input_tokens": 1, "output_tokens": 1},
        },
    ),
    "anthropic.count_tokens": (counted, {"input_tokens": 2095}),
}


def wire(name: str, guard: ContentValidator) -> Wire:
    body = CALLS[name][1]
    if isinstance(body, bytes):
        return Wire(guard, body, "audio/mpeg")
    return Wire(guard, json.dumps(body).encode(), "application/json")


@pytest.mark.parametrize("guard", [BLOCKING, MASKING], ids=["block", "mask"])
@pytest.mark.parametrize("name", CALLS)
def test_media_of_every_api_pass_a_guard_that_would_match_them(name: str, guard: ContentValidator) -> None:
    one = wire(name, guard)
    assert CALLS[name][0](one) in (None, TEXT)
    assert one.verdicts == [CONTINUE, CONTINUE]


@pytest.mark.parametrize("name", CALLS)
def test_text_beside_the_media_is_judged_in_requests_and_responses(name: str) -> None:
    one = wire(name, NEEDLE)
    text = CALLS[name][0](one)
    request, response = one.verdicts
    assert isinstance(request, Reject)
    assert (request.status, request.code) == (422, "content_rejected")
    assert isinstance(response, Reject) is (text is not None)
