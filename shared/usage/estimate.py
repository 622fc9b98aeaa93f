"""Estimates of tokens, without a vocabulary: of a text, and of a request.

The estimate of a text was measured against the vocabulary o200k of OpenAI, as a ratio to the truth. English
0.93 to 0.99, code 1.09, JSON 1.06 to 1.17, Chinese 0.94, Japanese 0.82, German 1.37, Russian 1.65,
Hindi 1.78, hexadecimal 1.31, base64 0.95, digits 0.91.
"""

import math
import re
from binascii import a2b_base64
from typing import Any, Final

from shared.bodies.picture_size import MAX_LOOKED_AT, picture_size
from shared.bodies.text.messages import texts_of
from shared.providers.calls import ANTHROPIC_MESSAGES

# Long runs are hexadecimal, base64 or the like: vocabularies have few words of them.
# A match begins where a run does, so that the time is linear.
_RUN: Final = re.compile(rb"(?<![A-Za-z0-9+/=_-])[A-Za-z0-9+/=_-]{64,}+")
_ASCII: Final = bytes(range(128))
_NOT_DIGITS: Final = bytes(code for code in range(256) if not 48 <= code <= 57)
# Bytes per token, by kind.
_PER_RUN, _PER_ASCII, _PER_DIGIT = 1.6, 3.9, 2.2
# Of a text that is mostly in another script, and of a few such letters in one that is not.
_PER_FOREIGN, _PER_ACCENT = 5.0, 2.6
_FOREIGN_SHARE: Final = 0.3


def estimate_tokens(text: bytes) -> int:
    """The estimated tokens of a text in UTF-8, at least one for a text that is not empty."""
    if not text:
        return 0
    rest = _RUN.sub(b"", text)
    size, kept = len(text), len(rest)
    other = len(rest.translate(None, _ASCII))
    digits = len(rest.translate(None, _NOT_DIGITS))
    plain, runs = kept - other - digits, size - kept
    per_other = _PER_FOREIGN if other > _FOREIGN_SHARE * size else _PER_ACCENT
    return round(plain / _PER_ASCII + digits / _PER_DIGIT + runs / _PER_RUN + other / per_other) or 1


# The tokens that providers add for each message and each tool.
_PER_MESSAGE, _PER_TOOL = 4, 8
#: Bytes of compressed sound per second, and tokens: a second has ten.
BYTES_PER_SECOND: Final = 16_000
_BYTES_OF_SOUND: Final = BYTES_PER_SECOND // 10
# A page of a document: its tokens, and its size, by which pages are guessed.
_PER_PAGE: Final = 1_500
_BYTES_PER_PAGE: Final = 50_000
# Pictures. OpenAI makes them fit a square, then their shorter side, and counts squares (tiles).
_PER_PICTURE, _PER_TILE, _UNKNOWN_TILES = 85, 170, 6
_LARGEST_SIDE, _SHORTER_SIDE, _TILE = 2_048, 768, 512
# Anthropic counts pixels, up to a bound.
_PIXELS_PER_TOKEN, _MOST_PER_PICTURE = 750, 1_600
_PICTURES: Final = frozenset({"image", "image_url", "input_image"})
_DOCUMENTS: Final = frozenset({"document", "file", "input_file"})
# Documents that are text, and count as such.
_TEXTS: Final = frozenset({"text", "content"})
_SOUND: Final = frozenset({"input_audio"})
_LISTS: Final = ("messages", "input", "contents")
# Where a text may be written as the numbers of its tokens.
_MAY_BE_TOKENS: Final = ("input", "prompt")
# Where parts are in a message, in the result of a tool, and in the output of a function.
_INNER: Final = ("content", "output", "parts")
# Where a part has its bytes, as base64 or in a data URL: the first of them that is there.
_DATA: Final = (
    ("image_url", "url"),
    ("image_url",),
    ("source", "data"),
    ("file", "file_data"),
    ("file_data",),
    ("input_audio", "data"),
    ("inlineData", "data"),
)
_BASE64: Final = ";base64,"
# Four characters of base64 are three bytes.
_LOOKED_AT: Final = MAX_LOOKED_AT // 3 * 4


def estimate_request(document: Any, size: int = 0, api: str = "") -> int:
    """The estimated input of the JSON of a request, at least one token.

    Pictures, documents and sound count by piece, not as text. `size`: the bytes of a body without JSON, as of
    sound. `api`: its API, as pictures count in different ways.
    """
    if not isinstance(document, dict):
        return -(-size // _BYTES_OF_SOUND) or 1
    text = "\n".join(texts_of(document)).encode(errors="replace")
    tokens = sum([estimate_tokens(text[at : at + _SLICE]) for at in range(0, len(text), _SLICE)])
    tokens += sum([_written_tokens(document[name]) for name in _MAY_BE_TOKENS if name in document])
    found = [document[name] for name in _LISTS if name in document and type(document[name]) is list]
    if found:
        tokens += _PER_MESSAGE * sum([type(message) not in _NUMBERS for message in found[0]])
        tokens += sum([_media(part, api) for part in _parts(found[0])])
    if "tools" in document and type(document["tools"]) is list:
        tokens += _PER_TOOL * len(document["tools"])
    return tokens or 1


# In a list of messages these are tokens of a text.
_NUMBERS: Final = frozenset({int, bool})
# Long texts are counted slice by slice, so that a thread that counts leaves time to others.
_SLICE: Final = 65_536


def _written_tokens(value: Any) -> int:
    """The tokens of a text that is written as their numbers, or of a list of such texts."""
    if not isinstance(value, list):
        return 0
    inner = [token for one in value if isinstance(one, list) for token in one]
    return sum([token.__class__ is int for some in (value, inner) for token in some])


def _parts(messages: list[Any]) -> list[dict[str, Any]]:
    """The parts of messages that say what they are, also those in the results of tools."""
    nodes = [node for node in messages if type(node) is dict]
    for node in nodes:  # those in a node are added behind it
        for name in _INNER:
            if name in node and type(value := node[name]) is list:
                nodes += [part for part in value if type(part) is dict]
    return [node for node in nodes if "type" in node or "inlineData" in node]


def _media(part: dict[str, Any], api: str) -> int:
    """The tokens of a part that is not text; 0 for any other."""
    kind = part.get("type", "")
    if isinstance(held := part.get("inlineData"), dict):
        held = str(held.get("mimeType")).partition("/")[0]
        kind = {"image": "image", "audio": "input_audio"}.get(held, "document")
    if not isinstance(kind, str):
        return 0
    if kind in _PICTURES:
        return _picture(part, api)
    if kind in _DOCUMENTS:
        if isinstance(source := part.get("source"), dict) and source.get("type") in _TEXTS:
            return 0
        return _PER_PAGE * (-(-_size(_data(part)) // _BYTES_PER_PAGE) or 1)
    return -(-_size(_data(part)) // _BYTES_OF_SOUND) or 1 if kind in _SOUND else 0


def _picture(part: dict[str, Any], api: str) -> int:
    # A prefix whose length is a multiple of four needs no padding.
    data = _data(part)[:_LOOKED_AT]
    try:
        size = picture_size(a2b_base64(data[: len(data) // 4 * 4].encode(errors="replace")))
    except ValueError:
        size = None
    if api == ANTHROPIC_MESSAGES:
        pixels = _MOST_PER_PICTURE * _PIXELS_PER_TOKEN if size is None else size[0] * size[1]
        return min(-(-pixels // _PIXELS_PER_TOKEN), _MOST_PER_PICTURE)
    shown = part.get("image_url")
    if "low" in (part.get("detail"), shown.get("detail") if isinstance(shown, dict) else None):
        return _PER_PICTURE
    return _PER_PICTURE + _PER_TILE * (_UNKNOWN_TILES if size is None else _tiles(*size))


def _tiles(width: int, height: int) -> int:
    scale = min(1.0, _LARGEST_SIDE / max(width, height))
    scale *= min(1.0, _SHORTER_SIDE / (scale * min(width, height)))
    across, down = (math.ceil(round(scale * side, 3) / _TILE) for side in (width, height))
    return across * down


def _data(part: dict[str, Any]) -> str:
    """The base64 of a part; empty if it has none, as one with a URL."""
    for path in _DATA:
        value: Any = part
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        if isinstance(value, str):
            head, mark, data = value[:_LONGEST_HEAD].partition(_BASE64)
            if mark:
                return data + value[_LONGEST_HEAD:]
            return "" if "://" in head else value
    return ""


# The most characters of a data URL before its data.
_LONGEST_HEAD: Final = 256


def _size(data: str) -> int:
    """The bytes of a text in base64."""
    return len(data) * 3 // 4
