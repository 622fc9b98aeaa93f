"""A body that is collected from its pieces, without one object per small piece."""

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
