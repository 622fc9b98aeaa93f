"""JSON that is only looked at: what cannot be read is no error."""

from typing import Any

import orjson


def json_or_none(text: bytes | str) -> Any:
    """The document of a text; None for one that is not JSON.

    >>> json_or_none(b'{"model": "fast"}'), json_or_none(b"hello")
    ({'model': 'fast'}, None)
    """
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
