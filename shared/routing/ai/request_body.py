"""The JSON of a request: what it asks for, and as a target gets it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from shared.bodies.json.members import with_member
from shared.budgets.output_cap import with_most_output
from shared.usage.asking import ask_for_usage, has_to_ask


class SentBody(NamedTuple):
    """A body for a target, and whether it asks for a usage that the client did not ask for."""

    body: bytes
    asks_usage: bool = False


def sent_body(
    body: bytes,
    document: Mapping[str, Any],
    *,
    api: str,
    kind: str,
    model: tuple[str, bytes],
    most_output: int | None,
    stream_usage: bool | str,
    is_unable: bool,
) -> SentBody:
    """The body of a request for a target: with its name of the model, and asking for a stream's usage.

    Args:
        body: the JSON of the request, which `document` is.
        document: the same, parsed.
        api: the API by which the target is called.
        kind: the kind of its provider.
        model: the name that the provider knows the model by, as text and as JSON.
        most_output: the most tokens that it may write; None: as many as the request says.
        stream_usage: the capability of the model.
        is_unable: the provider rejects requests that ask for the usage of a stream.
    """
    name, written = model
    if document.get("model") != name:
        body = with_member(body, "model", written)
    if most_output is not None:
        body = with_most_output(body, document, most_output, api=api, kind=kind)
        body = _without_long_thought(body, document, most_output)
    if not document.get("stream"):
        return SentBody(body)
    asks = has_to_ask(api, document, stream_usage=stream_usage, is_unable=is_unable)
    return SentBody(ask_for_usage(body) if asks else body, asks)


def _without_long_thought(body: bytes, document: Mapping[str, Any], most: int) -> bytes:
    """The body without thinking if that may take the whole output: Anthropic would reject the request.

    Clients that set it themselves have bounds of their own (`shared.budgets.output_cap.least_output`).
    """
    thinking = document.get("thinking")
    budget = thinking.get("budget_tokens") if isinstance(thinking, dict) else None
    if not isinstance(budget, int) or budget < most:
        return body
    return with_member(body, "thinking", b'{"type":"disabled"}')


def characters(document: Any) -> int:
    """The characters of the text that a request wants to be spoken."""
    text = document.get("input") if isinstance(document, dict) else None
    return len(text) if isinstance(text, str) else 0


def is_in_background(document: Any) -> bool:
    """Whether a request asks for a response that is made after the provider has responded."""
    return isinstance(document, dict) and bool(document.get("background"))


def is_stored(document: Any) -> bool:
    """Whether the provider stores the response to a request: it does unless the request says no."""
    return isinstance(document, dict) and document.get("store") is not False
