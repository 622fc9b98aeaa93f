"""Content codings undone and redone, within bounds, and only when there is one way to read them.

A body that two decoders could read differently is refused, so that what was judged is what the other
side sees: one member, one frame, nothing behind it.
"""

import zlib
from collections.abc import Callable, Iterator

import brotli
import zstandard

from shared.http.body_rejected import BodyRejected

#: Bytes that a body may have once it is decoded.
MAX_DECODED = 10 * 1024 * 1024
#: How many times longer than its encoded form it may be. 97 KB of gzip can hold 100 MB.
MAX_RATIO = 100
# Small pieces keep the memory of a bomb small: it is left at the first piece that is too much.
_PIECE = 65_536
_GZIP = 16 + zlib.MAX_WBITS
# zstd gives all that a slice holds: at most a block of 128 KiB for each 4 bytes (RFC 8878, 3.1.1.2).
_ZSTD_SLICE = 64
# RFC 9659: what a decoder for "zstd" must be ready to hold.
_ZSTD_WINDOW = 8 * 1024 * 1024


def coding_of(values: tuple[str, ...]) -> str:
    """The one coding that the ``Content-Encoding`` headers name, ``identity`` when they name none.

    Raises `BodyRejected` (``unsupported_content_type``) on an unknown coding and on several.
    """
    if not values:
        return "identity"
    names = [name.strip().lower() for name in ",".join(values).split(",")]
    codings = [name for name in names if name and name != "identity"]
    if len(codings) > 1:
        raise BodyRejected("unsupported_content_type", "The body has more than one content coding.")
    coding = {"x-gzip": "gzip"}.get(codings[0], codings[0]) if codings else "identity"
    if coding not in _DECODERS:
        allowed = ", ".join(sorted(_DECODERS))
        raise BodyRejected(
            "unsupported_content_type", f"The body's content coding is unknown; allowed: {allowed}."
        )
    return coding


def decode(body: bytes, coding: str) -> bytes:
    """The body without its `coding` (of `coding_of`).

    Raises `BodyRejected`: ``body_too_large`` above `MAX_DECODED` bytes or `MAX_RATIO` times the encoded
    size, ``bad_request`` on broken or ambiguous data.
    """
    if coding == "identity" or not body:
        return body
    bound = min(MAX_DECODED, MAX_RATIO * len(body))
    decoded = bytearray()
    try:
        for piece in _DECODERS[coding](body):
            decoded += piece
            if len(decoded) > bound:
                raise BodyRejected("body_too_large", "The body is too long once it is decoded.")
    except (zlib.error, brotli.error, zstandard.ZstdError, ValueError):
        raise BodyRejected("bad_request", f"The body is not valid {coding}.") from None
    return bytes(decoded)


def encode(body: bytes, coding: str) -> bytes:
    """The body in `coding` again."""
    return _ENCODERS[coding](body)


def _inflate(window_bits: int) -> Callable[[bytes], Iterator[bytes]]:
    def pieces(body: bytes) -> Iterator[bytes]:
        inflater = zlib.decompressobj(window_bits)
        rest = body
        while not inflater.eof:
            piece = inflater.decompress(rest, _PIECE)
            rest = inflater.unconsumed_tail
            if not piece and not inflater.eof:
                raise ValueError("The data ends too early.")
            yield piece
        if inflater.unused_data:
            raise ValueError("Something stands behind the data.")

    return pieces


def _brotli(body: bytes) -> Iterator[bytes]:
    decoder = brotli.Decompressor()
    yield decoder.process(body, output_buffer_limit=_PIECE)
    while not decoder.is_finished():
        piece = decoder.process(b"", output_buffer_limit=_PIECE)
        if not piece and not decoder.is_finished():
            raise ValueError("The data ends too early.")
        yield piece


def _zstd(body: bytes) -> Iterator[bytes]:
    decoder = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj()
    for start in range(0, len(body), _ZSTD_SLICE):
        if decoder.eof:
            raise ValueError("Something stands behind the data.")
        yield decoder.decompress(body[start : start + _ZSTD_SLICE])
    if not decoder.eof or decoder.unused_data:
        raise ValueError("The data ends too early, or something stands behind it.")


_DECODERS: dict[str, Callable[[bytes], Iterator[bytes]]] = {
    "gzip": _inflate(_GZIP),
    "deflate": _inflate(zlib.MAX_WBITS),
    "br": _brotli,
    "zstd": _zstd,
    "identity": lambda body: iter((body,)),
}
_ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda body: zlib.compress(body, wbits=_GZIP),
    "deflate": zlib.compress,
    "br": lambda body: bytes(brotli.compress(body, quality=5)),
    "zstd": lambda body: zstandard.ZstdCompressor().compress(body),
    "identity": bytes,
}
