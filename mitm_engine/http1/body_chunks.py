"""Bodies in pieces: collected without one object per small piece, and the sizes of chunks."""

from functools import lru_cache

#: Bytes of a piece below which it is joined with the next: an object takes about 50 besides its content.
SMALL = 1024


def gather(pieces: list[bytes | bytearray], piece: bytes) -> None:
    """Append `piece`, and join successive small ones.

    The sender chooses the chunks of a body: in pieces of 2 bytes, 20 MB would take half a gigabyte.
    """
    if len(piece) >= SMALL or not pieces:
        pieces.append(piece)
    elif isinstance(pieces[-1], bytearray):
        pieces[-1] += piece
    else:
        pieces.append(bytearray(piece))


@lru_cache(4096)
def size_line(length: int) -> bytes | None:
    """Return the line that begins a chunk of so many bytes in all, as `ResponseWriter` writes chunks.

    None if no chunk is that long: 20 bytes have a content of 15, and 22 one of 16.

    >>> size_line(20), size_line(21), size_line(22)
    (b'f\\r\\n', None, b'10\\r\\n')
    """
    lines = [b"%x\r\n" % size for size in range(max(length - 12, 1), length - 4)]
    return next((line for line in lines if len(line) + int(line, 16) + 2 == length), None)
