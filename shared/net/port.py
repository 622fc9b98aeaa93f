"""How a service that a tenant named is called."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class FetchResponse:
    """What an outside service said: status, and at most `max_bytes` of body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Fetch(Protocol):
    """Calls a service that a tenant named. Synchronous; runs in the thread pool.

    Checks every address of the name before it connects, connects to a checked one only, follows no
    redirects, and raises `errors.OutsideError` on anything that is not an answer.
    """

    def __call__(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes,
        timeout: float,
        max_bytes: int,
    ) -> FetchResponse: ...
