"""The text of bodies that are not JSON."""

import codecs
from urllib.parse import unquote_to_bytes

from shared.bodies.slices import slices


def lenient_text(body: bytes) -> str:
    """Return the body as text. Bytes that are not UTF-8 become U+FFFD."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    return "".join([*map(decoder.decode, slices(body)), decoder.decode(b"", final=True)])


def form_text(body: bytes) -> str:
    """Return the text of an HTML form (WHATWG URL, 5.1), with plus signs and percent codes decoded."""
    pieces, held = [], b""
    for piece in slices(body):
        whole = (held + piece).replace(b"+", b" ")
        # Hold back the beginning of a code. The next slice completes it.
        cut = whole.find(b"%", max(len(whole) - 2, 0))
        held = whole[cut:] if cut >= 0 else b""
        pieces.append(unquote_to_bytes(whole.removesuffix(held)))
    return lenient_text(b"".join((*pieces, held)))
