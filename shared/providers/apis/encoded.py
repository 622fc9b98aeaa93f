"""Values that are not text although they are strings: labels, and media as a URL or in base64.

A member that the API defines as a label or as media is one only while its value looks like one. So a client
cannot hide text in it, nor in what media encode: a model reads a text file in base64 as text.
"""

import binascii
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

from shared.http.body_rejected import BodyRejected
from shared.providers.apis.sniff import SNIFFED, charsets_of, is_media_file, text_of

#: The roles of the known APIs. A message with another role has a text there.
ROLES = frozenset(
    ("system", "developer", "user", "assistant", "tool", "function", "model", "critic", "discriminator")
)

#: The most characters of a label.
MAX_LABEL = 128
_LABEL = re.compile(rf"[A-Za-z0-9_.:/-]{{0,{MAX_LABEL}}}")
_URL = re.compile(r"(?:https?|gs|s3|file|blob)://[!-~]*", re.IGNORECASE)
# Readers of URLs ignore these characters before a URL, and line ends and tabs in it.
_DATA = re.compile(r"[\0- ]*" + r"[\t\r\n]*".join("data:"), re.IGNORECASE)
_LINE_ENDS = str.maketrans("", "", "\t\r\n")
_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_BASE64 = _LETTERS + b"_-=\r\n"
_SPACED = _BASE64 + b" \t"
# Readers of base64 drop all other characters. Some read these two as letters, and some drop them.
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_DROPPED = bytes(set(range(256)) - set(_LETTERS))
_DROPPED_URL_SAFE = bytes(set(_DROPPED) - set(b"-_"))
#: The most pieces of base64, each with its own padding, that are read as one.
MAX_PADDED = 1000
_PADDING = re.compile("=+")
# Encoders that wrap lines write at least so many characters in one.
_SHORTEST_LINE = 50
# Characters that are read in one call, first and later: others run in between.
_FIRST_SLICE, _SLICE = 6_144, 65_536
# Media types and names of files that are text.
_TEXT_TYPE = re.compile(
    r"text/|[^;]*\+(?:json|xml)\b"
    r"|application/(?:json|xml|x?html|(?:x-)?javascript|(?:x-)?yaml|x-ndjson|jsonl|sql|csv|rtf)\b"
)
_TEXT_FILE = re.compile(
    r".*\.(?:txt|text|md|markdown|rst|tex|csv|tsv|jsonl?|ndjson|xml|svg|html?|ya?ml|toml|ini|log|srt|vtt|sql)"
    r"\s*",
    re.IGNORECASE | re.DOTALL,
)
# The charsets of text that is read. The bytes say which of them it is.
_CHARSET = re.compile(r"(?:utf-?(?:8|16|32)(?:-?[lb]e)?|(?:us-)?ascii|iso-8859-1|latin-?1|windows-1252)?")
_UTF_8 = ("utf-8",)
# The members of an object that name the type of its media.
_TYPES = ("mimeType", "mime_type", "media_type")


class DataUrl(NamedTuple):
    """The head of a data URL (RFC 2397).

    Attributes:
        media_type: in lower case, without parameters.
        charset: the value of that parameter; empty without one.
        is_base64: whether the last parameter is ``base64``.
        may_be_base64: whether any parameter is: some readers do not care which.
        start: where the data begin in the value.
    """

    media_type: str
    charset: str
    is_base64: bool
    may_be_base64: bool
    start: int


def parse_data_url(value: str) -> DataUrl | None:
    """Return the head of a data URL; None for another value."""
    begin = _DATA.match(value)
    comma = value.find(",", begin.end()) if begin else -1
    if begin is None or comma < 0:
        return None
    head = value[begin.end() : comma].translate(_LINE_ENDS).lower()
    media_type, *parameters = [one.strip() for one in head.split(";")]
    charsets = [one.partition("=")[2].strip(" \"'") for one in parameters if one.startswith("charset")]
    return DataUrl(
        media_type,
        charsets[0] if charsets else "",
        parameters[-1:] == ["base64"],
        "base64" in parameters,
        comma + 1,
    )


def is_label(value: str) -> bool:
    """True for a name, an id or a setting: short, and without spaces."""
    return _LABEL.fullmatch(value) is not None


def is_encoded(value: str) -> bool:
    """True for base64, a URL, or a data URL with base64. A URL that contains its text is text.

    Base64 with spaces in it is text, too, unless a known kind of media begins there.
    """
    if not value.isascii():
        return False
    if _URL.fullmatch(value):
        return True
    url = parse_data_url(value)
    if url is not None and not url.is_base64:
        return False
    written = _Base64.at(value, url)
    return written.is_strict or (written.has_only(_SPACED) and is_media_file(written.begin()))


def texts_inside(node: Mapping[str, Any], name: str) -> Iterator[str]:
    """Yield the texts that the media at `name` encode, whatever their declared type.

    A reader may drop characters that do not belong there, so there may be several readings. Raises
    `BodyRejected` (``unsupported_content_type``) on text in another charset, and on too many pieces.
    """
    kinds = [kind.strip().lower() for key in _TYPES if isinstance(kind := node.get(key), str)]
    file_name = node.get("filename")
    is_text = isinstance(file_name, str) and _TEXT_FILE.fullmatch(file_name) is not None
    is_text = is_text or any([_TEXT_TYPE.match(kind) for kind in kinds])
    value = node[name]
    for one in value if isinstance(value, list) else (value,):
        if isinstance(one, str) and not _URL.fullmatch(one):
            yield from _texts(one, is_text=is_text)


def _texts(value: str, *, is_text: bool) -> Iterator[str]:
    url = parse_data_url(value)
    if url is None:
        yield from _Base64(value, 0).texts(is_text=is_text)
        return
    is_text = is_text or _TEXT_TYPE.match(url.media_type) is not None
    found = list(_Base64.at(value, url).texts(is_text=is_text)) if url.may_be_base64 else []
    if not url.is_base64:
        later = value.find("base64,", url.start)
        if later >= 0:
            found += _Base64(value, later + len("base64,")).texts(is_text=is_text)
        found += _percent_texts(value[url.start :])
    if found and not _CHARSET.fullmatch(url.charset):
        raise BodyRejected("unsupported_content_type", "The charset of text in a data URL must be UTF-8.")
    yield from found


def _percent_texts(written: str) -> Iterator[str]:
    """Yield the text of a data URL without base64, with line ends and without."""
    for form in dict.fromkeys((written, written.translate(_LINE_ENDS))):
        raw = unquoted(form.encode(errors="replace"))
        if not is_media_file(raw):
            yield from [text_of(raw, charset) for charset in charsets_of(raw) or _UTF_8]


class _Base64(NamedTuple):
    """The base64 in `value` from `start` on."""

    value: str
    start: int

    @classmethod
    def at(cls, value: str, url: DataUrl | None) -> "_Base64":
        """The base64 of a value, or of a data URL, where its letters may be percent codes."""
        if url is None:
            return cls(value, 0)
        start = url.start
        if value.find("%", start) >= 0:
            value, start = unquoted(value[start:].encode(errors="replace")).decode("latin-1"), 0
        while value.startswith(" ", start):
            start += 1
        return cls(value, start)

    @property
    def is_strict(self) -> bool:
        """Whether all characters are those of base64, with line ends only where lines are wrapped."""
        is_wrapped = (self.value.count("\n") - 1) * _SHORTEST_LINE <= len(self.value)
        return is_wrapped and self.has_only(_BASE64)

    def has_only(self, letters: bytes) -> bool:
        return not any(piece.translate(None, letters) for piece in self._slices())

    def _slices(self) -> Iterator[bytes]:
        at, step = self.start, _FIRST_SLICE
        while at < len(self.value):
            yield self.value[at : at + step].encode(errors="replace")
            at, step = at + step, _SLICE

    def _decoded(self, dropped: bytes) -> Iterator[bytes]:
        """Yield the bytes of the file in pieces."""
        held = b""
        for piece in self._slices():
            letters = held + piece.translate(_URL_SAFE, dropped)
            whole = len(letters) & ~3
            held = letters[whole:]
            yield binascii.a2b_base64(letters[:whole])
        if len(held) > 1:
            yield binascii.a2b_base64(held + b"=" * (4 - len(held)))

    def begin(self) -> bytes:
        """The first bytes of the file."""
        return _begin(self._decoded(_DROPPED_URL_SAFE))

    def texts(self, *, is_text: bool) -> Iterator[str]:
        """Yield the file, in each reading, if it `is_text` or begins as text does."""
        for pieces in self._readings():
            begin = _begin(pieces)
            if not begin or (is_media_file(begin) and not is_text):
                continue
            charsets = charsets_of(begin) or (_UTF_8 if is_text else ())
            whole = b"".join((begin, *pieces)) if charsets else b""
            yield from [text_of(whole, charset) for charset in charsets]

    def _readings(self) -> Iterator[Iterator[bytes]]:
        yield self._decoded(_DROPPED_URL_SAFE)
        if self.value.find("-", self.start) >= 0 or self.value.find("_", self.start) >= 0:
            yield self._decoded(_DROPPED)
        padding = self.value.find("=", self.start)
        if padding >= 0 and self.value[padding:].strip("= \t\r\n"):
            # Some readers stop at the padding, and some go on with what follows it.
            yield (piece for one in self._padded() for piece in one._decoded(_DROPPED_URL_SAFE))

    def _padded(self) -> list["_Base64"]:
        """The pieces that end with padding."""
        pieces = _PADDING.split(self.value[self.start :], maxsplit=MAX_PADDED)
        if len(pieces) > MAX_PADDED:
            raise BodyRejected(
                "unsupported_content_type",
                f"Base64 has more than {MAX_PADDED} pieces with padding. Send one.",
            )
        return [_Base64(piece, 0) for piece in pieces]


def _begin(pieces: Iterator[bytes]) -> bytes:
    """Take the first bytes of a file from its pieces."""
    begin = b""
    while len(begin) < SNIFFED and (piece := next(pieces, None)) is not None:
        begin += piece
    return begin


def unquoted(raw: bytes) -> bytes:
    """Return bytes with their percent codes decoded."""
    pieces, held = [], b""
    for start in range(0, len(raw), _SLICE):
        piece = held + raw[start : start + _SLICE]
        # Hold back the beginning of a code. The next slice completes it.
        cut = piece.find(b"%", max(len(piece) - 2, 0))
        held = piece[cut:] if cut >= 0 else b""
        pieces.append(unquote_to_bytes(piece.removesuffix(held)))
    return b"".join((*pieces, held))
