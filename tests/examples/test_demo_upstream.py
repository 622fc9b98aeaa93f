"""The demo upstream, as the real SDKs and curl see it; chat with both is in `tests/end_to_end/test_sdks.py`."""

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator

import anthropic
import openai
import pytest

from examples.demo_upstream.server import DemoUpstream
from examples.demo_upstream.text import last_prompt, tokens
from tests.support.commands import serving

HELLO = [{"role": "user", "content": "Hello there!"}]


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving(DemoUpstream(0)) as port:
        yield port


@pytest.fixture
def chat(port: int) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none") as client:
        yield client


@pytest.fixture
def claude(port: int) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=f"http://127.0.0.1:{port}", api_key="none") as client:
        yield client


def test_demo_upstream_lists_its_models_to_both_sdks(
    chat: openai.OpenAI, claude: anthropic.Anthropic
) -> None:
    assert [model.id for model in chat.models.list()] == ["demo-small", "demo-large"]
    assert chat.models.retrieve("demo-large").owned_by == "demo"
    assert [model.lifecycle for model in claude.models.list()] == ["active", "active"]
    assert claude.models.retrieve("demo-large").display_name == "Demo Large"


def test_responses_api_gives_the_same_text_whole_and_streamed(chat: openai.OpenAI) -> None:
    whole = chat.responses.create(model="gpt", input="Hello there!")
    with chat.responses.stream(model="gpt", input=HELLO) as stream:
        kinds = [event.type for event in stream]
        streamed = stream.get_final_response()
    assert whole.output_text == streamed.output_text == "You said: Hello there!"
    assert kinds[0] == "response.created"
    assert kinds.count("response.output_text.delta") == 4
    assert whole.usage is not None
    assert (whole.usage.input_tokens, whole.usage.output_tokens) == (2, 4)


def test_embeddings_of_equal_texts_are_equal(chat: openai.OpenAI) -> None:
    # By default the SDK asks for base64.
    for vectors in (
        chat.embeddings.create(model="e", input=["a", "b", "a"]).data,
        chat.embeddings.create(model="e", input=["a", "b", "a"], encoding_format="float").data,
    ):
        first, other, again = [vector.embedding for vector in vectors]
        assert first == again != other
        assert len(first) == 8


def test_demo_upstream_serves_sized_chunked_and_wrong_calls_on_one_connection(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    call = json.dumps({"messages": HELLO}).encode()
    statuses = []
    for method, path, body, chunked in [
        ("GET", "/healthz", None, False),
        ("POST", "/v1/chat/completions?x=1", call, False),
        ("POST", "/v1/chat/completions", iter([call[:5], call[5:]]), True),
        ("POST", "/v1/chat/completions", b"{", False),
        ("POST", "/v1/chat/completions", b"[]", False),
        ("POST", "/other", call, False),
        ("GET", "/other", None, False),
    ]:
        connection.request(method, path, body, encode_chunked=chunked)
        response = connection.getresponse()
        response.read()
        statuses.append(response.status)
    connection.close()
    assert statuses == [200, 200, 200, 400, 400, 404, 404]


def text(content: str) -> dict[str, str]:
    return {"type": "text", "text": content}


@pytest.mark.parametrize(
    ("messages", "prompt"),
    [
        ([], ""),
        (None, ""),
        ("a", "a"),
        ([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "a"),
        ([{"role": "user", "content": [text("a"), {"type": "image"}, text("b")]}], "ab"),
    ],
)
def test_demo_upstream_repeats_the_last_user_message(messages: object, prompt: str) -> None:
    assert last_prompt(messages) == prompt


def test_tokens_add_up_to_the_text() -> None:
    assert tokens("a  b ") == ["a ", " ", "b "]


def test_the_program_prints_its_port_and_ends_with_sigterm() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "examples.demo_upstream", "--port", "0"], stdout=subprocess.PIPE
    ) as program:
        assert program.stdout
        port = int(program.stdout.readline())
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.request("GET", "/healthz")
        assert connection.getresponse().status == 200
        connection.close()
        program.terminate()
