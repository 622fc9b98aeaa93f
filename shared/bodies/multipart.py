"""The parts of a form with files (RFC 7578), read strictly: every reader finds the same parts.

A body that two readers cut in different places could hide a text from the plugins.
"""

import re
from collections.abc import Iterator
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from typing import NamedTuple
from urllib.parse import unquote

from shared.http.body_rejected import BodyRejected
from shared.http.media_type import MediaType
from shared.model.messages import Headers
from shared.providers.apis.sniff import charsets_of, is_media_file

#: The most bytes of the head of a part.
MAX_HEAD = 8192
_PLAIN = frozenset({"7bit", "8bit", "binary"})
_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\0\r\n]*)")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
# The charset of a word that is encoded as in mail (RFC 2047): some readers of forms decode it.
_ENCODED_WORD = re.compile(r"=\?([^?*]*)(?:\*[^?]*)?\?[bBqQ]\?[^?]*\?=")
_READ_CHARSET = re.compile(r"utf-?8|us-ascii|iso-8859-1|", re.IGNORECASE)
_PARAMETER = re.compile(r';\s*([^=;"\s]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;"]*))')


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
    return is_media_file(content) or (
        media_type.is_media and b"\0" in content[:65_536] and not charsets_of(content)
    )


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


def form_field(media_type: MediaType, content: bytes, name: str, *, most: int) -> FormPart | None:
    """Return the part with that name; None if there is none. Raises `BodyRejected` as `parse_parts`.

    Also when several parts have the name, or one has it as the name of its file.
    """
    found = [part for part in parse_parts(media_type, content, most=most) if name in part.names]
    if len(found) > 1:
        raise _ambiguous(f"It has the field {name} more than once.")
    return found[0] if found else None


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
    """The names of field and file, in each way in which a reader may decode them: a model may see them."""
    names: list[str] = []
    for header in ("content-disposition", "content-type"):
        raw = (head.get(header) or "").encode("latin-1").decode(errors="replace")
        continued: dict[str, list[str]] = {}
        for name, quoted, plain in _PARAMETER.findall(raw):
            value = quoted or plain
            names += _readings(value, is_extended=name.endswith("*"))
            base, star, _ = name.partition("*")
            if star:
                continued.setdefault(base.lower(), []).append(value)
        for values in continued.values():
            # A long name may come in several parameters (RFC 2231).
            names += _readings("".join(values), is_extended=True)
    return tuple(dict.fromkeys(names))


def _readings(value: str, *, is_extended: bool) -> Iterator[str]:
    """Yield a name as it is, and without its escapes, its percent codes and its encoded words.

    An extended one has a charset (RFC 8187). Raises `BodyRejected` when a name is in another than UTF-8.
    """
    yield value
    if "\\" in value:
        yield _ESCAPED.sub(r"\1", value)
    if "%" in value:
        yield unquote(value)
    charset, *rest = value.split("'", 2) if is_extended else ("",)
    words = _ENCODED_WORD.findall(value)
    if any([not _READ_CHARSET.fullmatch(one) for one in ([charset] if len(rest) == 2 else []) + words]):
        raise BodyRejected("unsupported_content_type", "The names in a form must be UTF-8.")
    if words:
        try:
            yield str(make_header(decode_header(value)))
        except (HeaderParseError, ValueError):
            return  # no reader can decode it


def _ambiguous(reason: str) -> BodyRejected:
    return BodyRejected("bad_request", f"The multipart body could be read in two ways. {reason}")
