"""The text of a document that a language model reads, or writes.

Known are the bodies of OpenAI's chat, completions and responses API and of Anthropic's messages API,
requests and answers. In these the text is that of all members but labels and encoded media
(`shared.bodies.text.provider_fields`); so a text does not get by because it stands in a member that the
API does not know. Of any other document, and of schemas, all strings are text, keys too.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from shared.bodies.json.strings import unescape
from shared.bodies.text.maskable_text import MaskableText, Part
from shared.providers.text_fields import (
    Holder,
    holder_of,
    inner,
    is_given,
    is_json_member,
    is_messages,
    is_text_member,
)


class Text(NamedTuple):
    """A text of a document: its pieces, each with where it stands (None for what cannot be masked).

    `is_json` says that it is JSON in a string, whose reader undoes its escapes.
    """

    pieces: Sequence[tuple[str, Part | None]]
    is_json: bool = False

    @classmethod
    def at(cls, holder: Any, key: Any, *, is_json: bool = False) -> "Text":
        return cls(((holder[key], Part(holder, key)),), is_json)

    @classmethod
    def fixed(cls, text: str) -> "Text":
        return cls(((text, None),))

    def read(self) -> str:
        """The text as its reader sees it."""
        written = self.pieces[0][0] if len(self.pieces) == 1 else "".join([text for text, _ in self.pieces])
        return unescape(written) if self.is_json else written

    @property
    def escapes(self) -> int:
        """The backslashes that its reader does not see as such."""
        return sum(text.count("\\") for text, _ in self.pieces) if self.is_json else 0

    def text_part(self) -> MaskableText:
        """The places of its characters."""
        text_part = MaskableText(is_json=self.is_json, keeps_places=True)
        for text, part in self.pieces:
            text_part.add(text, part)
        text_part.end()
        return text_part

    def write(self) -> bool:
        """Write what is masked into the document; whether there was something."""
        return any([part.write() for _, part in self.pieces if part is not None])


def texts_of(document: Any) -> Iterator[str]:
    """Each text of the document. Neighbouring parts of one message come once more as one text."""
    return (text.read() for text in text_places([document]))


def text_places(holder: list[Any]) -> Iterator[Text]:
    """The same with where they stand, of the document that is the only item of `holder`."""
    document = holder[0]
    return message_texts(document, holder_of(document)) if is_messages(document) else all_texts(holder)


def all_texts(node: Any) -> Iterator[Text]:
    """All strings in an array or object, names of members too."""
    if isinstance(node, dict):
        yield from map(Text.fixed, node)
    for key, child in members(node):
        if isinstance(child, str):
            yield Text.at(node, key)
        else:
            yield from all_texts(child)


def fixed_texts(node: Any) -> Iterator[Text]:
    """What cannot be masked: names of members, and values that are no strings."""
    if isinstance(node, dict):
        yield from map(Text.fixed, node)
    elif not isinstance(node, list | str):
        yield Text.fixed(json.dumps(node))
    for _, child in members(node):
        yield from fixed_texts(child)


def drop_logprobs(node: Any) -> None:
    """Take out the probabilities of tokens: they hold the tokens, and so what was masked."""
    if isinstance(node, dict) and node.get("logprobs") is not None:
        node["logprobs"] = None
    for _, child in members(node):
        drop_logprobs(child)


def message_texts(node: Any, holder: Holder) -> Iterator[Text]:
    """The texts in an array or object of a known body."""
    for name, child in members(node):
        is_named = isinstance(node, dict)
        if is_named and not is_text_member(holder, node, name):
            continue
        if isinstance(child, str):
            yield Text.at(node, name, is_json=is_json_member(name))
        elif is_named and is_given(name, child):
            yield from given_texts(name, child)
        else:
            if isinstance(child, list) and name != "choices":
                yield from _joined(child)
            yield from message_texts(child, inner(holder, name) if is_named else holder)


def given_texts(name: str, value: Any) -> Iterator[Text]:
    """The texts of such a member."""
    if name == "input":
        # What a tool is given; streamed, it comes as JSON in strings.
        yield Text(list(_as_json(value)))
    else:
        yield from all_texts(value)


def members(node: Any) -> Iterable[tuple[Any, Any]]:
    """What stands directly in an array or object, with where it stands; nothing for other values."""
    if isinstance(node, dict):
        return node.items()
    return enumerate(node) if isinstance(node, list) else ()


def _joined(parts: list[Any]) -> Iterator[Text]:
    """The parts of one message as the model sees them, so that no word hides across two parts."""
    texts = [part for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str)]
    if len(texts) > 1:
        yield Text([(part["text"], Part(part, "text")) for part in texts])


def _as_json(node: Any) -> Iterator[tuple[str, Part | None]]:
    """The document as JSON with its escapes undone, as `json.dumps` spaces it."""
    if not isinstance(node, dict | list):
        yield json.dumps(node), None
        return
    opens, closes = "{}" if isinstance(node, dict) else "[]"
    before = opens
    for key, child in members(node):
        name = f'"{key}": ' if isinstance(node, dict) else ""
        if isinstance(child, str):
            yield f'{before}{name}"', None
            yield child, Part(node, key)
            before = '", '
        else:
            yield f"{before}{name}", None
            yield from _as_json(child)
            before = ", "
    yield (before.removesuffix(", ") if node else opens) + closes, None
