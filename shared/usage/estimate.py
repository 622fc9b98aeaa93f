"""Estimates of tokens, without a vocabulary: of a text, and of a request.

The estimate of a text was measured against the vocabulary o200k of OpenAI, as a ratio to the truth. English
0.93 to 0.99, code 1.09, JSON 1.06 to 1.17, Chinese 0.94, Japanese 0.82, German 1.37, Russian 1.65,
Hindi 1.78, hexadecimal 1.31, base64 0.95, digits 0.91.
"""

import re
from typing import Any, Final

from shared.bodies.text.messages import texts_of

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
    runs = len(text) - len(rest)
    other = len(rest.translate(None, _ASCII))
    digits = len(rest.translate(None, _NOT_DIGITS))
    plain = len(rest) - other - digits
    per_other = _PER_FOREIGN if other > _FOREIGN_SHARE * len(text) else _PER_ACCENT
    return round(plain / _PER_ASCII + digits / _PER_DIGIT + runs / _PER_RUN + other / per_other) or 1


# What providers add for each message and each tool, and tokens of a picture whose size is not known (OpenAI:
# 85, and 170 for each of six tiles) and of a document.
_PER_MESSAGE, _PER_TOOL = 4, 8
_PER_PICTURE: Final = 1_105
_PER_DOCUMENT: Final = 1_500
# Of compressed sound: 16 KB per second, and ten tokens.
_BYTES_OF_SOUND: Final = 1_600
_PICTURES: Final = frozenset({"image", "image_url", "input_image"})
_DOCUMENTS: Final = frozenset({"document", "file", "input_file", "input_audio"})
_LISTS: Final = ("messages", "input", "contents")


def estimate_request(document: Any, size: int = 0) -> int:
    """The estimated input of the JSON of a request, at least one token.

    Pictures and files count by piece, not as text. `size`: the bytes of a body without JSON, as for sound.
    """
    if not isinstance(document, dict):
        return -(-size // _BYTES_OF_SOUND) or 1
    text = "\n".join(texts_of(document)).encode(errors="replace")
    messages = next((value for name in _LISTS if isinstance(value := document.get(name), list)), ())
    tools = document.get("tools")
    tokens = estimate_tokens(text) + _PER_MESSAGE * len(messages)
    tokens += _PER_TOOL * len(tools) if isinstance(tools, list) else 0
    return tokens + sum([_media(message) for message in messages if isinstance(message, dict)]) or 1


def _media(message: dict[str, Any]) -> int:
    content = message.get("content")
    kinds = (
        [part.get("type") for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    )
    pictures = sum(kind in _PICTURES for kind in kinds if isinstance(kind, str))
    documents = sum(kind in _DOCUMENTS for kind in kinds if isinstance(kind, str))
    return pictures * _PER_PICTURE + documents * _PER_DOCUMENT
