"""Content codings (RFC 9110, 8.4): decode a body within bounds, and encode it again.

A body that two decoders could read differently is rejected, so that the upstream reads the text that the
plugins judged: one gzip member or zstd frame, and nothing after it.
"""

import zlib
from collections.abc import Callable, Iterator
from functools import partial

import brotli
import zstandard

from shared.http.body_rejected import BodyRejected

#: The most bytes of a decoded body.
MAX_DECODED = 10 * 1024 * 1024
#: How many times longer than the encoded body it may be. 97 KB of gzip can decode to 100 MB.
MAX_RATIO = 100
# Decoding stops at the first piece beyond the bound. Small pieces keep the memory for a bomb small.
_PIECE = 65_536
_GZIP = 16 + zlib.MAX_WBITS
# zstd decodes a slice as a whole: at most a block of 128 KiB for each 4 bytes (RFC 8878, 3.1.1.2).
_ZSTD_SLICE = 64
_BROKEN = "The data is incomplete, or something follows it."


def coding_of(values: tuple[str, ...]) -> str:
    """Return the coding that the ``Content-Encoding`` headers name; ``identity`` when they name none.

    Raises `BodyRejected` (``unsupported_content_type``) on an unknown coding or on more than one.
    """
    if not values:
        return "identity"
    names = [name.strip().lower() for name in ",".join(values).split(",")]
    codings = [name for name in names if name and name != "identity"]
    if len(codings) > 1:
        raise BodyRejected("unsupported_content_type", "The body has more than one content coding.")
    coding = {"x-gzip": "gzip"}.get(codings[0], codings[0]) if codings else "identity"
    if coding not in _DECODERS:
        reason = f"The content coding of the body is unknown; allowed: {', '.join(sorted(_DECODERS))}."
        raise BodyRejected("unsupported_content_type", reason)
    return coding


def decode(body: bytes, coding: str) -> bytes:
    """Return the body without its `coding` (the result of `coding_of`).

    Raises `BodyRejected`: ``body_too_large`` above `MAX_DECODED` bytes or `MAX_RATIO` times the encoded
    size, ``bad_request`` on invalid or ambiguous data.
    """
    if coding == "identity" or not body:
        return body
    bound = min(MAX_DECODED, MAX_RATIO * len(body))
    decoded = bytearray()
    try:
        for piece in _DECODERS[coding](body):
            decoded += piece
            if len(decoded) > bound:
                raise BodyRejected("body_too_large", "The decoded body is too long.")
    except (zlib.error, brotli.error, zstandard.ZstdError, ValueError):
        raise BodyRejected("bad_request", f"The body is not valid {coding}.") from None
    return bytes(decoded)


def encode(body: bytes, coding: str) -> bytes:
    return _ENCODERS[coding](body)


def _inflate(window_bits: int, body: bytes) -> Iterator[bytes]:
    inflater = zlib.decompressobj(window_bits)
    rest = body
    while not inflater.eof:
        piece = inflater.decompress(rest, _PIECE)
        rest = inflater.unconsumed_tail
        if not piece and not inflater.eof:
            raise ValueError(_BROKEN)
        yield piece
    if inflater.unused_data:
        raise ValueError(_BROKEN)


def _brotli(body: bytes) -> Iterator[bytes]:
    decoder = brotli.Decompressor()
    yield decoder.process(body, output_buffer_limit=_PIECE)
    while not decoder.is_finished():
        piece = decoder.process(b"", output_buffer_limit=_PIECE)
        if not piece and not decoder.is_finished():
            raise ValueError(_BROKEN)
        yield piece


def _zstd(body: bytes) -> Iterator[bytes]:
    # RFC 9659: the window that a decoder for "zstd" must support.
    decoder = zstandard.ZstdDecompressor(max_window_size=8 * 1024 * 1024).decompressobj()
    for start in range(0, len(body), _ZSTD_SLICE):
        if decoder.eof:
            raise ValueError(_BROKEN)
        yield decoder.decompress(body[start : start + _ZSTD_SLICE])
    if not decoder.eof or decoder.unused_data:
        raise ValueError(_BROKEN)


_DECODERS: dict[str, Callable[[bytes], Iterator[bytes]]] = {
    "gzip": partial(_inflate, _GZIP),
    "deflate": partial(_inflate, zlib.MAX_WBITS),
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
