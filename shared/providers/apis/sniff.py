"""The kind of a file by how it begins: media, text in a charset, or other bytes.

The declared type of a file may be false, and its reader may look at the bytes alone.
"""

import codecs
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

#: The first bytes of a file that say its kind.
SNIFFED: Final = 4096

# How pictures, sound, films, documents and archives begin.
_MAGIC = re.compile(
    rb"\x89PNG\r\n|\xff\xd8\xff|GIF8[79]a|RIFF....(?:WEBP|WAVE|AVI )|BM....\0\0\0\0|II\*\0|MM\0\*|FORM....AIF"
    rb"|ID3|\xff[\xe2\xe3\xf2\xf3\xfa\xfb\xf1\xf9]|OggS|fLaC|#!AMR|....ftyp|\x1aE\xdf\xa3|%PDF-|PK\x03\x04|\x1f\x8b"
    rb"|\xd0\xcf\x11\xe0|\0\0\x01\0",
    re.DOTALL,
)
_PDF = b"%PDF-"  # the only one of them that may be all text
# The longer marks first: that of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Control characters that text does not have, private ones, and those that are not characters.
_ODD = re.compile("[\0-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f-\x9f\ue000-\uf8ff\ufdd0-\ufdef\ufffe\uffff]")
# Charsets without a mark, and which byte of two is the high one.
_WIDE: Mapping[str, int] = {"utf-32-le": 1, "utf-32-be": 0, "utf-16-le": 1, "utf-16-be": 0}
# Scripts whose letters have many high bytes, with ASCII.
_EAST_ASIAN = re.compile("[\t\n\r -~\u3000-\u30ff\u4e00-\u9fff\uac00-\ud7a3\uff00-\uffef]+")
_PRINTABLE = bytes((*range(0x20, 0x7F), *b"\t\n\r\f"))
# Bytes are text if at most one of so many is not a printable character of ASCII.
_ONE_OF = 5


def is_media_file(content: bytes) -> bool:
    """True for a file that begins as pictures, sound, films, documents or archives do.

    Text that begins like one is text, except with the mark of PDF: in all other media, binary bytes follow.
    """
    if _MAGIC.match(content) is None:
        return False
    return content.startswith(_PDF) or not _is_clean(content[:SNIFFED], "utf-8")


def charsets_of(content: bytes) -> Sequence[str]:
    """Return the charsets in which a file may be text, by its first `SNIFFED` bytes; none for other bytes.

    A file with a few bytes that are not UTF-8 counts as UTF-8: its reader replaces them. An empty file is
    text.
    """
    begin = content[:SNIFFED]
    for mark, charset in _MARKS:
        if begin.startswith(mark):
            return (charset,)
    if _is_clean(begin, "utf-8"):
        return ("utf-8",)
    is_utf_8 = b"\0" not in begin and _decoded(begin, "utf-8") is not None
    is_utf_8 = is_utf_8 or len(begin.translate(None, _PRINTABLE)) * _ONE_OF <= len(begin)
    return (*(("utf-8",) if is_utf_8 else ()), *(charset for charset in _WIDE if _is_wide(begin, charset)))


def _is_wide(begin: bytes, charset: str) -> bool:
    """True for text without a mark in which a character has two or four bytes."""
    text = _decoded(begin, charset)
    if not text or _ODD.search(text):
        return False
    # Bytes of another kind are hardly ever in UTF-32. In UTF-16, most letters of a script have one high byte.
    high = begin[_WIDE[charset] :: 2]
    return (
        "32" in charset or max(Counter(high).values()) * 2 >= len(high) or bool(_EAST_ASIAN.fullmatch(text))
    )


def text_of(content: bytes, charset: str) -> str:
    """Return the text of a file. Bytes that do not fit become U+FFFD."""
    return content.decode(charset, errors="replace").replace("\0", "")


def _is_clean(begin: bytes, charset: str) -> bool:
    text = _decoded(begin, charset)
    return text is not None and _ODD.search(text) is None


def _decoded(begin: bytes, charset: str) -> str | None:
    """Return the text of bytes whose last character may be cut off; None when they are not in `charset`."""
    try:
        return codecs.getincrementaldecoder(charset)().decode(begin)
    except UnicodeDecodeError:
        return None
