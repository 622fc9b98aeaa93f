"""The port for calls to services that tenants name."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchRequest:
    """A call of a service.

    Attributes:
        method: the method.
        url: the URL, with its query.
        headers: the headers besides those of the connection.
        body: the body.
        timeout: how long the call may take, in seconds.
        max_bytes: the longest response body; 0: none is read, whatever is sent.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    timeout: float
    max_bytes: int


@dataclass(frozen=True, slots=True)
class FetchResponse:
    """The response of a service, with at most `max_bytes` of body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Fetch(Protocol):
    """Calls a service that a tenant named. Synchronous; runs in the thread pool.

    Checks every address of the name, connects to a checked one only, and follows no redirects. A connection
    is used again only for the same `owner`, such as a tenant. Raises `errors.OutsideError` when there is no
    complete response.
    """

    def __call__(self, request: FetchRequest, *, owner: str = "") -> FetchResponse: ...
