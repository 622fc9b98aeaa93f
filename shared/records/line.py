"""The line of the access log of one request. It is encoded once, for the log and for the record."""

from collections.abc import Mapping
from typing import Any, Final

from orjson import dumps

from shared.log_lines import ACCESS
from shared.logs import dump_line

#: The members that a record shows in lists. In a line they come first, after those in `SAME`.
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
#: The first members, which are the same in each line.
SAME: Final[Mapping[str, str]] = {"level": "info", "logger": ACCESS}
#: The first member that is in neither.
REST: Final = "trace_id"
#: Where in the JSON of a line the members in `SHOWN` begin, and the bytes that end them: no text has these,
#: because a quotation mark in it is escaped.
SHOWN_FROM: Final = len(dumps(SAME))
SHOWN_TO: Final = f',"{REST}":'.encode()


class AccessLine:
    """A line without its time.

    Attributes:
        members: what it says, in the order of `SAME`, `SHOWN`, and all others from `REST` on.
        json: the same as a JSON object.
    """

    __slots__ = ("json", "members")

    def __init__(self, members: Mapping[str, Any]) -> None:
        self.members = members
        self.json = dump_line(members)
