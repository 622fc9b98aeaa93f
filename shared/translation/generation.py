"""How a model generates: the members of a request that several APIs have, each under a name of its own."""

from collections.abc import Sequence
from typing import Final

from shared.translation.members import must_be, number
from shared.translation.notes import Caps, Document, Notes, Settings

#: The advice when a model keeps to no schema.
NO_SCHEMA: Final = "This model keeps to no schema. Use a tool with the schema, and tool_choice."
# Servers of chat that have deprecated max_tokens.
_NEW_MAX: Final = frozenset({"openai", "azure"})


def most_output(kept: Document, name: str, caps: Caps, notes: Notes) -> int:
    """The most tokens that the member `name` asks for, and that the model allows. Raises `Untranslatable`."""
    most = must_be(int, kept[name], f"/{name}")
    if most > (allowed := caps.get("max_output", most)):
        notes.change(name)
        most = allowed
    return most


def chat_max_tokens(kept: Document, name: str, caps: Caps, settings: Settings, notes: Notes) -> Document:
    """The same for a server of chat, under the name that it knows; empty if nothing is asked for."""
    if name not in kept:
        return {}
    own = "max_completion_tokens" if settings.kind in _NEW_MAX else "max_tokens"
    return {caps.get("max_tokens_field", own): most_output(kept, name, caps, notes)}


def sampling_of(kept: Document, names: Sequence[str], caps: Caps, notes: Notes) -> Document:
    """The members of these names with which a model samples. One that takes none gets none."""
    found: Document = {name: number(kept[name], f"/{name}") for name in names if name in kept}
    if caps.get("sampling") is not False:
        return found
    for name in found:
        notes.drop(name)
    return {}


def chat_stream(kept: Document, caps: Caps) -> Document:
    """The members that ask a server of chat for a stream with its usage; empty if no stream is asked for."""
    if kept.get("stream") is not True:
        return {}
    if caps.get("stream_usage") is False:
        return {"stream": True}
    return {"stream": True, "stream_options": {"include_usage": True}}


def note_usage_asked(kept: Document, notes: Notes) -> None:
    """Note whether a client of chat has asked for the usage of a stream."""
    options = kept.get("stream_options")
    notes.include_usage = isinstance(options, dict) and options.get("include_usage") is True
