"""The width and height of a picture, as its first bytes say.

PNG, GIF, JPEG and WebP are read. Nothing is decoded, and a size that is not true does no harm: it is used for
estimates only.
"""

import struct
from collections.abc import Callable, Mapping
from typing import Final

#: The most bytes of a picture that are looked at. JPEG has its size behind metadata.
MAX_LOOKED_AT: Final = 65_536

Size = tuple[int, int]

# The markers of JPEG with the size: all of C0 to CF but those for tables and the extension.
_SIZED: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ALONE: Final = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a length


def picture_size(start: bytes) -> Size | None:
    """The width and height in pixels; None if they are not known. `start`: its first bytes.

    >>> picture_size(b"GIF89a" + bytes([64, 1, 200, 0]))
    (320, 200)
    """
    start = start[:MAX_LOOKED_AT]
    for signature, read in _READERS.items():
        if start.startswith(signature):
            try:
                size = read(start)
            except (struct.error, IndexError):  # it is cut
                return None
            return size if size is not None and min(size) > 0 else None
    return None


def _png(start: bytes) -> Size:
    width, height = struct.unpack_from(">II", start, 16)
    return width, height


def _gif(start: bytes) -> Size:
    width, height = struct.unpack_from("<HH", start, 6)
    return width, height


def _jpeg(start: bytes) -> Size | None:
    at = 2
    while start[at] == 0xFF:
        marker = start[at + 1]
        if marker in _SIZED:
            height, width = struct.unpack_from(">HH", start, at + 5)
            return width, height
        # A marker may be preceded by any number of FF.
        at += 1 if marker == 0xFF else 2
        if marker != 0xFF and marker not in _ALONE:
            at += struct.unpack_from(">H", start, at)[0]
    return None


def _webp(start: bytes) -> Size | None:
    match start[8:16]:
        case b"WEBPVP8X":
            width, height = (int.from_bytes(start[at : at + 3], "little") + 1 for at in (24, 27))
            return (width, height) if len(start) >= 30 else None
        case b"WEBPVP8L":
            bits = struct.unpack_from("<I", start, 21)[0]
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"WEBPVP8 ":
            width, height = struct.unpack_from("<HH", start, 26)
            return width & 0x3FFF, height & 0x3FFF
    return None


_READERS: Final[Mapping[bytes, Callable[[bytes], Size | None]]] = {
    b"\x89PNG\r\n\x1a\n": _png,
    b"GIF8": _gif,
    b"\xff\xd8": _jpeg,
    b"RIFF": _webp,
}
