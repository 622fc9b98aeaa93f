"""The content validator on streams that the SDKs of OpenAI and of Anthropic parse."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from shared.pipeline.plugin import CONTINUE, Reject
from shared.plugins.content_validator import ContentValidator
from tests.plugins.test_content_validator_apis import BLOCKING, MASKING, NEEDLE, PICTURE, Wire
from tests.plugins.test_content_validator_streams import passed


def events(*documents: dict[str, Any], named: bool = True) -> bytes:
    return "".join(
        f"{f'event: {document["type"]}{chr(10)}' if named else ''}data: {json.dumps(document)}\n\n"
        for document in documents
    ).encode()


def chat_stream(one: Wire) -> str:
    made = one.openai().chat.completions.create(
        model="m", stream=True, messages=[{"role": "user", "content": "a needle?"}]
    )
    audios = [audio for chunk in made if (audio := chunk.choices[0].delta.audio)]
    assert "".join(audio.data or "" for audio in audios) == PICTURE * 2
    return "".join(audio.transcript or "" for audio in audios)


def responses_stream(one: Wire) -> str:
    text = ""
    for event in one.openai().responses.create(model="m", stream=True, input="a needle?"):
        if event.type == "response.image_generation_call.partial_image":
            assert event.partial_image_b64 == PICTURE
        text += event.delta if event.type == "response.output_text.delta" else ""
    return text


def images_stream(one: Wire) -> str:
    made = one.openai().images.generate(
        model="gpt-image-1", prompt="a needle?", stream=True, partial_images=1
    )
    assert [event.b64_json for event in made] == [PICTURE, PICTURE]
    return ""


def transcript_stream(one: Wire) -> str:
    made = one.openai().audio.transcriptions.create(
        model="gpt-4o-transcribe",
        file=("x.wav", b"RIFF\0\0\0\0WAVE", "audio/wav"),
        prompt="a needle?",
        stream=True,
    )
    return "".join(event.delta for event in made if event.type == "transcript.text.delta")


def messages_stream(one: Wire) -> str:
    with one.anthropic().messages.stream(
        model="m", max_tokens=9, messages=[{"role": "user", "content": "a needle?"}]
    ) as made:
        text = "".join(made.text_stream)
        assert made.get_final_message().content[0].signature == PICTURE  # type: ignore[union-attr]
    return text


def audio(**delta: str) -> dict[str, Any]:
    choice = {"index": 0, "finish_reason": None, "delta": {"audio": {"id": "a", **delta}}}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}


PLACE = {"output_index": 1, "content_index": 0, "item_id": "msg_1", "sequence_number": 1}
IMAGE = {"type": "image_generation.partial_image", "b64_json": PICTURE, "partial_image_index": 0}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [],
    "stop_reason": None,
}
USAGE = {"input_tokens": 1, "output_tokens": 1}


def block(index: int, step: str, **more: Any) -> dict[str, Any]:
    return {"type": f"content_block_{step}", "index": index, **more}


STREAMS: dict[str, tuple[Callable[[Wire], str], bytes]] = {
    "openai.chat": (
        chat_stream,
        events(
            audio(data=PICTURE),
            audio(transcript="a nee"),
            audio(data=PICTURE),
            audio(transcript="dle"),
            named=False,
        ),
    ),
    "openai.responses": (
        responses_stream,
        events(
            {
                "type": "response.image_generation_call.partial_image",
                **{**PLACE, "output_index": 0, "partial_image_index": 0, "partial_image_b64": PICTURE},
            },
            {
                "type": "response.output_item.done",
                **{"output_index": 0, "sequence_number": 2},
                "item": {
                    "type": "image_generation_call",
                    "id": "i",
                    "status": "completed",
                    "result": PICTURE,
                },
            },
            *(
                {"type": "response.output_text.delta", **PLACE, "delta": text, "logprobs": []}
                for text in ("a nee", "dle")
            ),
        ),
    ),
    "openai.images": (images_stream, events(IMAGE, {**IMAGE, "type": "image_generation.completed"})),
    "openai.audio": (
        transcript_stream,
        events(
            *({"type": "transcript.text.delta", "delta": text} for text in ("a nee", "dle")),
            {"type": "transcript.text.done", "text": "a needle"},
        ),
    ),
    "anthropic.messages": (
        messages_stream,
        events(
            {"type": "message_start", "message": {**MESSAGE, "usage": USAGE}},
            block(0, "start", content_block={"type": "thinking", "thinking": "", "signature": ""}),
            block(0, "delta", delta={"type": "signature_delta", "signature": PICTURE}),
            block(0, "stop"),
            block(1, "start", content_block={"type": "text", "text": ""}),
            *(block(1, "delta", delta={"type": "text_delta", "text": text}) for text in ("a nee", "dle")),
            block(1, "stop"),
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": USAGE},
            {"type": "message_stop"},
        ),
    ),
}


@pytest.mark.parametrize("guard", [BLOCKING, MASKING], ids=["block", "mask"])
@pytest.mark.parametrize("name", STREAMS)
def test_media_in_streams_pass_whole_and_event_by_event(name: str, guard: ContentValidator) -> None:
    ask, stream = STREAMS[name]
    one = Wire(guard, stream, "text/event-stream")
    ask(one)
    assert one.verdicts == [CONTINUE, CONTINUE]
    assert passed(guard, stream, "text/event-stream", range(0, len(stream), 7)) == (stream, None)


@pytest.mark.parametrize("name", STREAMS)
def test_text_of_streams_is_joined_and_judged(name: str) -> None:
    ask, stream = STREAMS[name]
    one = Wire(NEEDLE, stream, "text/event-stream")
    text = ask(one)
    assert text in ("", "a needle")
    assert isinstance(one.verdicts[0], Reject)
    for rejects in (
        isinstance(one.verdicts[1], Reject),
        passed(NEEDLE, stream, "text/event-stream")[1] is not None,
    ):
        assert rejects is bool(text)
