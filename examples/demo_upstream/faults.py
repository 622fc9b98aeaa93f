"""The faults that the demo upstream can be made to have.

| fail | the response |
|---|---|
| `401` and other statuses | an error with this status, with `retry_after` in its head |
| `refuse` | connections are refused, and the open ones end |
| `silent` | none: the request is read, and nothing comes back |
| `reset` | none: the request is read, and the connection is reset |
| `html` | 200 with a page |
| `empty` | 200 with an empty body |
| `stall` | it stops, and the connection stays open |
| `cut` | it stops, and the connection ends |
| `error` | the stream has an event with an error; a whole response is an error with status 529 |
| `slow` | it comes, with a wait of `wait` before each piece |

A piece is an event of a stream, or a byte of a whole response. `after` pieces are sent before `stall`, `cut`
and `error`.
"""

import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Self

from examples.demo_upstream.errors import FAILURES

REFUSE: Final = "refuse"
#: The status of `error` without a stream.
ERROR_STATUS: Final = 529
#: The faults with a status of their own.
STATUSES: Final = {str(status): status for status in FAILURES}
_FAULTS: Final = (*STATUSES, REFUSE, "silent", "reset", "html", "empty", "stall", "cut", "error", "slow")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault, and the calls that it hits.

    Attributes:
        fail: one of the table above.
        after: the pieces that are sent before.
        times: so many calls; None: until it is removed.
        retry_after: the text of the header Retry-After; None: there is none.
        wait: seconds before each piece.
        model: only calls of this model.
        key: only calls with this API key.
    """

    fail: str
    after: int = 0
    times: int | None = None
    retry_after: str | None = None
    wait: float = 0.1
    model: str | None = None
    key: str | None = None

    @classmethod
    def parse(cls, given: Any) -> Self:
        """A JSON object. Raises ValueError that names the wrong member."""
        names = [field.name for field in fields(cls)]
        if not isinstance(given, dict) or "fail" not in given:
            raise ValueError('The body must be an object such as {"fail": "503"}.')
        if unknown := [name for name in given if name not in names]:
            raise ValueError(f"{unknown[0]} is not a member. Allowed: {', '.join(names)}.")
        given = {**given, "fail": str(given["fail"])}
        if given["fail"] not in _FAULTS:
            raise ValueError(f"fail must be one of {', '.join(_FAULTS)}.")
        for name in ("after", "times", "wait"):
            value = given.get(name)
            is_number = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
            if value is not None and not (is_number and (name == "wait" or isinstance(value, int))):
                raise ValueError(f"{name} must be a number that is not negative.")
        if given["fail"] == REFUSE and given.keys() & {"times", "model", "key"}:
            raise ValueError("refuse takes no times, model or key: it is before the first byte of a call.")
        return cls(**{name: value for name, value in given.items() if value is not None})


class Faults:
    """The fault of an upstream, if it has one, and how many calls came and failed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fault: Fault | None = None
        self._calls = self._failed = 0

    def set(self, fault: Fault | None) -> None:
        """Have this fault from now on, or none; the counts begin again."""
        with self._lock:
            self._fault = fault
            self._calls = self._failed = 0

    def hit(self, model: str | None, key: str) -> Fault | None:
        """Count a call. The fault that it meets, if it meets one."""
        with self._lock:
            self._calls += 1
            fault = self._fault
            if fault is None or self._failed == fault.times or fault.fail == REFUSE:
                return None
            if fault.model not in (None, model) or fault.key not in (None, key):
                return None
            self._failed += 1
            return fault

    def state(self) -> Mapping[str, Any]:
        """The fault and the counts as JSON."""
        with self._lock:
            fault = asdict(self._fault) if self._fault else None
            return {"fault": fault, "calls": self._calls, "failed": self._failed}
