"""Values that are not text although they are strings: labels, and media as a URL or in base64.

A member that the API defines as a label or as media is one only while its value looks like one. So a client
cannot hide text in it.
"""

import binascii
import codecs
import re
from collections.abc import Mapping
from typing import Any

#: The roles of the known APIs. A message with another role has a text there.
ROLES = frozenset(
    ("system", "developer", "user", "assistant", "tool", "function", "model", "critic", "discriminator")
)

#: The most characters of a label.
MAX_LABEL = 128
_LABEL = re.compile(rf"[A-Za-z0-9_.:/-]{{0,{MAX_LABEL}}}")
_URL = re.compile(r"(?:https?|gs|s3|file|blob)://[!-~]*", re.IGNORECASE)
_DATA = re.compile(r"data:([^,;]*)(?:;[^,;]*)*,", re.IGNORECASE)
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/_-=\r\n"
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
# Encoders that wrap lines write at least so many characters in one.
_SHORTEST_LINE = 50
# Characters that are checked in one call: others run in between.
_SLICE = 65_536
# Media types that are text, besides text/*.
_TEXT_TYPE = re.compile(
    r"text/|application/(?:[^;]*\+)?(?:json|xml|x?html|javascript|yaml|x-ndjson|jsonl|sql|csv|rtf)\b"
)
#: The members of an object that name the type of its media.
_TYPES = ("mimeType", "mime_type", "media_type")
# Members with a file of any type, which no other member names.
_ANY_TYPE = frozenset({"bytes", "file_data"})


def is_label(value: str) -> bool:
    """True for a name, an id or a setting: short, and without spaces."""
    return _LABEL.fullmatch(value) is not None


def is_encoded(value: str) -> bool:
    """True for base64, a URL, or a data URL with base64. A URL that contains its text is text."""
    if not value.isascii():
        return False
    if _URL.fullmatch(value):
        return True
    if found := _DATA.match(value):
        return found[0].lower().endswith(";base64,") and _is_base64(value, found.end())
    return _is_base64(value, 0)


def _is_base64(value: str, start: int) -> bool:
    if (value.count("\n") - 1) * _SHORTEST_LINE > len(value):
        return False
    pieces = (value[at : at + _SLICE] for at in range(start, len(value), _SLICE))
    return not any(piece.encode().translate(None, _BASE64) for piece in pieces)


def text_inside(node: Mapping[str, Any], name: str) -> str | None:
    """Return the text that the media at `name` encode; None when they are no text.

    A model reads a text file in base64 as text.
    """
    value = node[name]
    if not isinstance(value, str):
        return None
    found = _DATA.match(value)
    kind = found[1] if found else next((node[key] for key in _TYPES if isinstance(node.get(key), str)), None)
    if kind is None and name not in _ANY_TYPE:
        return None
    if kind is not None and not _TEXT_TYPE.match(kind.strip().lower()):
        return None
    raw = _decoded(value, found.end() if found else 0)
    if raw is None or (kind is None and not _is_plain(raw)):
        return None
    # A file in UTF-16 begins with its mark. What follows it may be UTF-32: then NULs stand between.
    charset = "utf-16" if raw.startswith(_UTF_16) else "utf-8"
    return raw.decode(charset, errors="replace").replace("\0", "")


def _decoded(value: str, start: int) -> bytes | None:
    """Return the bytes of base64, with or without its padding; None for something else."""
    written = value[start:].encode(errors="replace").translate(_URL_SAFE, b"\r\n=")
    try:
        return binascii.a2b_base64(written + b"=" * (-len(written) % 4))
    except binascii.Error:
        return None


def _is_plain(raw: bytes) -> bool:
    """True for a file that begins as text does."""
    begins = raw[:4096]
    if begins.startswith(_UTF_16):
        return True
    return b"\0" not in begins and "\ufffd" not in begins.decode(errors="replace").rstrip("\ufffd")
