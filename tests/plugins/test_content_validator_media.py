"""The content validator on media at each place where the references of the APIs define them.

The bodies are written down here, so that a place that is missing in `shared.providers` shows.
"""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest

from shared.model.messages import Response
from shared.pipeline.plugin import CONTINUE
from shared.plugins.content_validator import ContentValidator
from tests.plugins.exchanges import exchange, head

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 3).decode()
GUARDS = [
    ContentValidator.parse({"blocked_patterns": ["[A-Za-z0-9+/]{60}"], "action": action})
    for action in ("block", "mask")
]
guards = pytest.mark.parametrize("guard", GUARDS, ids=["block", "mask"])

_FILES = ("image_url", "file_data", "file_url", "file_id")
_SAID: dict[str, Any] = {
    "role": "assistant",
    "audio": {"data": PNG},
    "images": [{"image_url": {"url": PNG}}],
    "reasoning_details": [{"data": PNG, "signature": PNG}],
}
_ITEMS: list[dict[str, Any]] = [
    *({"role": "user", "content": [{name: PNG}]} for name in _FILES),
    *({"type": "function_call_output", "output": [{name: PNG}]} for name in _FILES),
    {"type": "computer_call_output", "output": {"image_url": PNG, "file_id": PNG}},
    {"type": "image_generation_call", "result": PNG},
    {"type": "reasoning", "encrypted_content": PNG},
    {"type": "computer_call", "fingerprint": PNG},
    {"type": "code_interpreter_call", "outputs": [{"type": "image", "url": PNG}]},
]
_SOURCES = [
    {"type": "base64", "media_type": "image/png", "data": PNG},
    {"type": "url", "url": PNG},
    {"type": "file", "file_id": PNG},
]
_BLOCKS: list[dict[str, Any]] = [
    *({"type": "image", "source": source} for source in _SOURCES),
    {"type": "redacted_thinking", "data": PNG},
    {"type": "thinking", "thinking": "x", "signature": PNG},
    {"type": "web_search_result", "encrypted_content": PNG},
    {"type": "code_execution_result", "encrypted_stdout": PNG},
    {"type": "container_upload", "file_id": PNG},
    {"type": "tool_result", "content": [{"encrypted_content": PNG, "file_id": PNG}]},
    {"type": "tool_result", "content": {"encrypted_stdout": PNG}},
    {"type": "text", "text": "x", "citations": [{"encrypted_index": PNG, "file_id": PNG}]},
]
_PARTS: list[dict[str, Any]] = [
    {"inlineData": {"mimeType": "image/png", "data": PNG}},
    {"inline_data": {"mime_type": "image/png", "data": PNG}},
    {"fileData": {"fileUri": PNG}},
    {"file_data": {"file_uri": PNG}},
    {"functionResponse": {"parts": [{"inlineData": {"data": PNG}}]}},
    {"function_response": {"parts": [{"inline_data": {"data": PNG}}]}},
    {"text": "x", "thoughtSignature": PNG},
    {"text": "x", "thought_signature": PNG},
]
_CONVERSE: list[dict[str, Any]] = [
    *({name: {"source": {"bytes": PNG}}} for name in ("image", "document", "video", "audio")),
    *(
        {"toolResult": {"content": [{name: {"source": {"bytes": PNG}}}]}}
        for name in ("image", "document", "video")
    ),
    {"reasoningContent": {"reasoningText": {"text": "x", "signature": PNG}}},
    {"reasoningContent": {"redactedContent": PNG}},
]


def requests() -> Iterator[Any]:
    chat = [
        *({"type": name, name: {"url": PNG}} for name in ("image_url", "video_url", "audio_url")),
        *({"type": name, name: PNG} for name in ("image_url", "document_url", "input_audio")),
        {"type": "input_audio", "input_audio": {"data": PNG, "format": "wav"}},
        {"type": "file", "file": {"file_data": PNG, "file_id": PNG}},
    ]
    for parts in (chat, _BLOCKS, _CONVERSE):
        for part in parts:
            yield {"messages": [{"role": "user", "content": [part]}]}
    yield {"messages": [_SAID]}
    for item in _ITEMS:
        yield {"input": [item]}
    yield {"input": "x", "tools": [{"input_image_mask": {"image_url": PNG, "file_id": PNG}}]}
    yield {"prompt": "x", "images": [{"image_url": PNG}, {"file_id": PNG}]}
    yield {"prompt": "x", "mask": {"image_url": PNG, "file_id": PNG}}
    yield {"input": [{"type": "image_url", "image_url": {"url": PNG}}]}
    yield {"messages": [], "system": [{"type": "image", "source": _SOURCES[0]}]}
    for part in _PARTS:
        yield {"contents": [{"parts": [part]}]}
        yield {"contents": [], "systemInstruction": {"parts": [part]}}
        yield {"requests": [{"content": {"parts": [part]}}]}
    yield {"messages": [{"role": "user", "content": "x", "images": [PNG]}]}
    yield {"prompt": "x", "images": [PNG]}


def responses() -> Iterator[Any]:
    yield {"choices": [{"message": _SAID}]}
    for item in _ITEMS:
        yield {"output": [item]}
    for name in ("b64_json", "url", "embedding"):
        yield {"data": [{name: PNG}]}
    for block in _BLOCKS:
        yield {"type": "message", "content": [block]}
    for part in _PARTS:
        yield {"candidates": [{"content": {"parts": [part]}}]}
    yield {"candidates": [{"groundingMetadata": {"searchEntryPoint": {"sdkBlob": PNG}}}]}
    yield {"message": {"role": "assistant", "content": "x", "images": [PNG]}, "done": True}
    yield {"response": "x", "done": True, "images": [PNG], "image": PNG}
    for part in _CONVERSE:
        yield {"output": {"message": {"role": "assistant", "content": [part]}}}


def events() -> Iterator[Any]:
    yield {"choices": [{"index": 0, "delta": _SAID}], "obfuscation": PNG}
    for item in _ITEMS:
        yield {"type": "response.output_item.done", "output_index": 0, "item": item}
    for name in _FILES:
        yield {"type": "response.content_part.done", "output_index": 0, "part": {name: PNG}}
    yield {"type": "response.output_text.delta", "delta": "x", "obfuscation": PNG}
    yield {"type": "response.image_generation_call.partial_image", "partial_image_b64": PNG}
    for name in ("response.audio.delta", "response.output_audio.delta"):
        yield {"type": name, "delta": PNG}
    for name in ("image_generation", "image_edit"):
        for step in ("partial_image", "completed"):
            yield {"type": f"{name}.{step}", "b64_json": PNG}
    yield {"type": "speech.audio.delta", "audio": PNG}
    for block in _BLOCKS:
        yield {"type": "content_block_start", "index": 0, "content_block": block}
    for delta in ({"signature": PNG}, {"citation": {"encrypted_index": PNG, "file_id": PNG}}):
        yield {"type": "content_block_delta", "index": 0, "delta": delta}
    for part in _PARTS:
        yield {"candidates": [{"content": {"parts": [part]}}]}


@guards
def test_media_in_requests_pass_at_each_place(guard: ContentValidator) -> None:
    for document in requests():
        sent = exchange(json.dumps(document).encode(), content_type="application/json")
        assert guard.pre_request(sent) == CONTINUE, str(document)[:200]


@guards
def test_media_in_responses_pass_at_each_place(guard: ContentValidator) -> None:
    for document in responses():
        got = Response(200, head(content_type="application/json"), json.dumps(document).encode())
        assert guard.pre_response(exchange(b"", response=got)) == CONTINUE, str(document)[:200]


@guards
def test_media_in_events_pass_at_each_place(guard: ContentValidator) -> None:
    for document in events():
        body = b"data: " + json.dumps(document).encode() + b"\n\n"
        got = Response(200, head(content_type="text/event-stream"), body)
        assert guard.pre_response(exchange(b"", response=got)) == CONTINUE, str(document)[:200]
