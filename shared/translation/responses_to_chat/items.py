"""The items of a response of OpenAI's responses: messages with their parts, and thoughts."""

from collections.abc import Iterator
from typing import Any, Final

from shared.translation.members import objects_of
from shared.translation.notes import Document

IN_PROGRESS: Final = "in_progress"
COMPLETED: Final = "completed"
MESSAGE: Final = "message"
REASONING: Final = "reasoning"
#: The kinds of parts, and the member with the text of each.
OUTPUT_TEXT: Final = "output_text"
DECLINED: Final = "refusal"
SUMMARY: Final = "summary_text"
TEXTS: Final = {OUTPUT_TEXT: "text", DECLINED: "refusal", SUMMARY: "text"}
_CITATION: Final = "url_citation"


def message_item(id_: str, parts: list[Document], status: str) -> Document:
    """An item with what the model says."""
    return {"type": MESSAGE, "id": id_, "status": status, "role": "assistant", "content": parts}


def reasoning_item(id_: str, parts: list[Document], status: str) -> Document:
    """An item with what the model thinks."""
    return {"type": REASONING, "id": id_, "status": status, "summary": parts}


def make_part(kind: str, text: str) -> Document:
    """A part of an item; of a text, without citations and probabilities."""
    part: Document = {"type": kind, TEXTS[kind]: text}
    return {**part, "annotations": [], "logprobs": []} if kind == OUTPUT_TEXT else part


def text_part(text: str, annotations: list[Document], logprobs: list[Document]) -> Document:
    """A part with what the model says."""
    return {"type": OUTPUT_TEXT, "text": text, "annotations": annotations, "logprobs": logprobs}


def annotations_of(given: Any) -> Iterator[Document]:
    """The citations of a message of chat."""
    for one in given if isinstance(given, list) else ():
        if isinstance(one, dict) and isinstance(one.get(_CITATION), dict):
            yield {"type": _CITATION, **one[_CITATION]}


def logprobs_of(given: Any) -> list[Document]:
    """The probabilities of the tokens of a choice of chat, each with its bytes."""
    tokens = given.get("content") if isinstance(given, dict) else None
    return [{**_logprob(token), "top_logprobs": _others(token)} for token in objects_of(tokens)]


def _others(token: Document) -> list[Document]:
    return [_logprob(other) for other in objects_of(token.get("top_logprobs"))]


def _logprob(token: Document) -> Document:
    return {"token": token.get("token"), "bytes": token.get("bytes") or [], "logprob": token.get("logprob")}


def without_bytes(logprobs: list[Document]) -> list[Document]:
    """The probabilities as events have them."""
    return [{**_bare(token), "top_logprobs": list(map(_bare, token["top_logprobs"]))} for token in logprobs]


def _bare(token: Document) -> Document:
    return {"token": token["token"], "logprob": token["logprob"]}
