"""Bodies that are no JSON, as their readers see them.

Both go piece by piece: one call over megabytes would keep all other threads waiting.
"""

import codecs
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

_SLICE = 65_536


def lenient_text(body: bytes) -> str:
    """The body as text; what is no UTF-8 is shown as such (U+FFFD)."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    return "".join([*map(decoder.decode, _slices(body)), decoder.decode(b"", final=True)])


def form_text(body: bytes) -> str:
    """The same of an HTML form (WHATWG URL, 5.1), with its plus signs and percent codes undone."""
    pieces, held = [], b""
    for piece in _slices(body):
        whole = (held + piece).replace(b"+", b" ")
        # A code that the next piece completes waits for it.
        cut = whole.find(b"%", max(len(whole) - 2, 0))
        held = whole[cut:] if cut >= 0 else b""
        pieces.append(unquote_to_bytes(whole.removesuffix(held)))
    return lenient_text(b"".join((*pieces, held)))


def _slices(body: bytes) -> Iterator[bytes]:
    return (body[start : start + _SLICE] for start in range(0, len(body), _SLICE))
