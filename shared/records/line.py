"""The line of the access log of one request. It is encoded once, for the log and for the record."""

from collections.abc import Mapping
from typing import Any, Final

from orjson import dumps

from shared.log_lines import ACCESS
from shared.logs import writable

#: The members that a record shows in lists.
SHOWN: Final = (
    *(
        "request_id",
        "tenant",
        "rule",
        "key",
        "method",
        "path",
        "model_asked",
        "retry_count",
        "status",
        "source",
    ),
    *("code", "stream", "milliseconds", "ttft_ms", "upstream_ms"),
)
_BEGIN: Final = f'{{"level":"info","logger":"{ACCESS}",'.encode()


class AccessLine:
    """A line without its time, in two halves.

    Attributes:
        shown: the members in `SHOWN`.
        rest: all others but `level` and `logger`, which are the same in each line.
        shown_json, rest_json: the halves as JSON objects.
        json: the line as a JSON object without `time`.
    """

    __slots__ = ("json", "rest", "rest_json", "shown", "shown_json")

    def __init__(self, shown: Mapping[str, Any], rest: Mapping[str, Any]) -> None:
        self.shown, self.rest = shown, rest
        try:
            self.shown_json, self.rest_json = dumps(shown), dumps(rest)
        except TypeError:  # half a surrogate pair, an integer of over 64 bits
            self.shown_json, self.rest_json = dumps(writable(shown)), dumps(writable(rest))
        self.json = _BEGIN + self.shown_json[1:-1] + b"," + self.rest_json[1:]
