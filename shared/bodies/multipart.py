"""The parts of a form with files (RFC 7578), read strictly: every reader finds the same parts.

A body that two readers cut in different places could hide a text from the plugins.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from shared.http.body_rejected import BodyRejected
from shared.http.media_type import MediaType
from shared.model.messages import Headers

#: The most bytes of the head of a part.
MAX_HEAD = 8192
_PLAIN = frozenset({"7bit", "8bit", "binary"})
_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\0\r\n]*)")
_PARAMETER = re.compile(r';\s*[^=;"]+=(?:"((?:[^"\\]|\\.)*)"|([^;"]*))')
# How pictures, sound, films, documents and archives begin.
_MAGIC = re.compile(
    rb"\x89PNG\r\n|\xff\xd8\xff|GIF8[79]a|RIFF....(?:WEBP|WAVE|AVI )|BM....\0\0\0\0|II\*\0|MM\0\*|FORM....AIF"
    rb"|ID3|\xff[\xe2\xe3\xf2\xf3\xfa\xfb\xf1\xf9]|OggS|fLaC|#!AMR|....ftyp|\x1aE\xdf\xa3|%PDF-|PK\x03\x04|\x1f\x8b"
    rb"|\xd0\xcf\x11\xe0|\0\0\x01\0",
    re.DOTALL,
)


class FormPart(NamedTuple):
    """A part: its type, the values of its head that say something, its content, and the place of that."""

    media_type: MediaType
    names: tuple[str, ...]
    content: bytes
    start: int


def is_media(media_type: MediaType, content: bytes) -> bool:
    """True for pictures, sound, films, documents and archives, by how they begin.

    A body with such a type alone is one only if it cannot be text: its type may be false.
    """
    return _MAGIC.match(content) is not None or (media_type.is_media and b"\0" in content[:65_536])


def parse_parts(media_type: MediaType, content: bytes, *, most: int) -> list[FormPart]:
    """Return the parts. Raises `BodyRejected` (``bad_request``) when readers could find other ones."""
    if not media_type.boundary:
        raise _ambiguous("Its Content-Type must have one boundary.")
    mark = b"--" + media_type.boundary.encode("latin-1", "replace")
    count = content.count(mark)
    if count > most:
        raise BodyRejected("body_too_large", f"The body has more than {most} parts.")
    parts = list(_parts(content, mark))
    if count != len(parts) + 1:
        raise _ambiguous("Its boundary stands in a part, or before the first one.")
    return parts


def _parts(content: bytes, mark: bytes) -> Iterator[FormPart]:
    if not content.startswith(mark):
        raise _ambiguous("It must begin with its boundary.")
    at = len(mark)
    while content[at : at + 2] == b"\r\n":
        end = content.find(b"\r\n" + mark, at)
        if end < 0:
            raise _ambiguous("Its last boundary is missing.")
        yield _part(content, at, end)
        at = end + 2 + len(mark)
    if content[at : at + 4] not in (b"--", b"--\r\n") or len(content) > at + 4:
        raise _ambiguous("Something follows its last boundary.")


def _part(content: bytes, at: int, end: int) -> FormPart:
    """The part from its first end of a line up to `end`."""
    blank = content.find(b"\r\n\r\n", at, min(end, at + MAX_HEAD))
    if blank < 0:
        raise _ambiguous(f"A part has no blank line after its head of at most {MAX_HEAD} bytes.")
    head = Headers.of(tuple(_fields(content[at + 2 : blank])))
    if len(head.all("content-disposition")) != 1:
        raise _ambiguous("Each part must have one Content-Disposition.")
    if not _PLAIN.issuperset(coding.strip().lower() for coding in head.all("content-transfer-encoding")):
        raise BodyRejected("unsupported_content_type", "A part of the body is encoded. Send it as it is.")
    start = blank + 4
    return FormPart(MediaType.of(head), _names(head), content[start:end], start)


def _fields(head: bytes) -> Iterator[tuple[bytes, bytes]]:
    for line in head.split(b"\r\n") if head else ():
        found = _LINE.fullmatch(line)
        if found is None:
            raise _ambiguous("The head of a part has a line that is not a header.")
        yield found[1], found[2].strip()


def _names(head: Headers) -> tuple[str, ...]:
    """The names of field and file: a model may see them."""
    raw = head["content-disposition"].encode("latin-1").decode(errors="replace")
    return tuple([quoted or plain for quoted, plain in _PARAMETER.findall(raw)])


def _ambiguous(reason: str) -> BodyRejected:
    return BodyRejected("bad_request", f"The multipart body could be read in two ways. {reason}")
