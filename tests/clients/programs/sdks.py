"""The Python SDKs of OpenAI, Anthropic and Google: chat, stream, upload, 413 and 429. Prints one document."""

import io
import json
import os
from typing import Any

import anthropic
import openai
from google import genai
from google.genai import errors

URL, KEY = os.environ["GATEWAY_URL"], os.environ["GATEWAY_KEY"]
ASK: dict[str, Any] = {"model": "demo", "messages": [{"role": "user", "content": "Hello!"}]}


def status(call: Any, *arguments: Any, **named: Any) -> int:
    """The status that the SDK shows."""
    try:
        call(*arguments, **named)
    except (openai.APIStatusError, anthropic.APIStatusError) as error:
        return error.status_code
    except errors.APIError as error:
        return int(error.code)
    return 200


def upload(client: openai.OpenAI, size: int) -> Any:
    return client.files.create(file=("zeros", io.BytesIO(bytes(size))), purpose="user_data")


def with_openai() -> dict[str, Any]:
    client, limited = (
        openai.OpenAI(base_url=URL + path, api_key=KEY, max_retries=0) for path in ("/v1", "/limited/v1")
    )
    stream = client.chat.completions.create(**ASK, stream=True)
    return {
        "chat": client.chat.completions.create(**ASK).choices[0].message.content,
        "stream": "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices),
        "upload": upload(client, int(os.environ["UPLOAD_BYTES"])).bytes,
        "too_large": status(upload, client, int(os.environ["TOO_LARGE_BYTES"])),
        "limited": status(limited.chat.completions.create, **ASK),
    }


def with_anthropic() -> dict[str, Any]:
    client, limited = (
        anthropic.Anthropic(base_url=URL + path, api_key=KEY, max_retries=0) for path in ("", "/limited")
    )
    call = {**ASK, "max_tokens": 20}
    with client.messages.stream(**call) as stream:
        streamed = "".join(stream.text_stream)
    return {
        "chat": client.messages.create(**call).content[0].text,
        "stream": streamed,
        "limited": status(limited.messages.create, **call),
    }


def with_google() -> dict[str, Any]:
    client, limited = (
        genai.Client(api_key=KEY, http_options={"base_url": URL + path}) for path in ("", "/limited")
    )
    call: dict[str, Any] = {"model": "demo", "contents": "Hello!"}
    return {
        "chat": client.models.generate_content(**call).text,
        "stream": "".join(chunk.text or "" for chunk in client.models.generate_content_stream(**call)),
        "limited": status(limited.models.generate_content, **call),
    }


print(json.dumps({"openai": with_openai(), "anthropic": with_anthropic(), "google": with_google()}))
