"""A body that is collected from its pieces, without one object for each crumb of it."""

_SMALL = 1024  # bytes; an object costs about 50 beside its content


def gather(pieces: list[bytes | bytearray], piece: bytes) -> None:
    """Put `piece` behind the others; small ones that follow each other become one.

    A sender chooses how a body is chunked: in pieces of 2 bytes, 20 MB would take half a gigabyte.
    """
    if len(piece) >= _SMALL or not pieces:
        pieces.append(piece)
    elif isinstance(pieces[-1], bytearray):
        pieces[-1] += piece
    else:
        pieces.append(bytearray(piece))
