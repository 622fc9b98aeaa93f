"""What an upstream may get: requests that can be read in one way only."""

import re

from tests.support.upstream import Received

_LINE = re.compile(rb"[A-Z]+ /[\x21-\x7e]* HTTP/1\.1")
_FIELD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+: [\t\x20-\x7e\x80-\xff]*")


def heads_are_clean(received: list[Received]) -> None:
    """Every head is plain, has one Host and at most one framing."""
    for seen in received:
        line, *fields = seen.head.split(b"\r\n")[:-2]
        assert _LINE.fullmatch(line), line
        for field in fields:
            assert _FIELD.fullmatch(field), field
        assert len(seen.all("host")) == 1
        lengths, codings = seen.all("content-length"), seen.all("transfer-encoding")
        assert len(lengths) + len(codings) <= 1
        assert all(length.isdecimal() and length.isascii() for length in lengths)
        assert codings in ([], ["chunked"])
