"""What travels: requests and answers as read-only values, as plugins see them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from shared.core.model import EMPTY, ApiKey, Rule, Tenant


class Headers:
    """HTTP header fields in the order in which they came; names compare without case.

    >>> h = Headers([("Set-Cookie", "a=1"), ("set-cookie", "b=2")])
    >>> h["SET-COOKIE"], h.all("set-cookie"), "x" in h
    ('a=1', ('a=1', 'b=2'), False)
    """

    __slots__ = ("_index", "items")

    items: tuple[tuple[str, str], ...]

    def __init__(self, items: Iterable[tuple[str, str]] = ()) -> None:
        self.items = tuple(items)
        # Many heads are only passed on; they are never asked for a name.
        self._index: dict[str, tuple[str, ...]] | None = None

    def _by_name(self) -> dict[str, tuple[str, ...]]:
        if self._index is None:
            index: dict[str, tuple[str, ...]] = {}
            for name, value in self.items:
                lower = name.lower()
                index[lower] = (*index[lower], value) if lower in index else (value,)
            self._index = index
        return self._index

    def all(self, name: str) -> tuple[str, ...]:
        """Every value of that name, in order; empty when there is none."""
        return self._by_name().get(name.lower(), ())

    def get(self, name: str, default: str | None = None) -> str | None:
        """The first value of that name."""
        values = self._by_name().get(name.lower())
        return values[0] if values else default

    def __getitem__(self, name: str) -> str:
        return self._by_name()[name.lower()][0]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._by_name()

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self.items == other.items

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Headers({list(self.items)!r})"

    def patched(self, set_headers: Mapping[str, str], remove_headers: Iterable[str] = ()) -> "Headers":
        """A copy without `remove_headers` and with each of `set_headers` standing exactly once."""
        if not set_headers and not remove_headers:
            return self
        gone = {name.lower() for name in (*set_headers, *remove_headers)}
        kept = [item for item in self.items if item[0].lower() not in gone]
        return Headers([*kept, *set_headers.items()])


@dataclass(frozen=True, slots=True)
class Request:
    """A request as the client sent it, cleaned.

    `path` is the normalised form that was matched and will be forwarded, without the query; `query`
    is what stood behind the ``?``, byte for byte. Credentials of the gateway are masked in `headers`
    (present, but their value is ``[redacted]``). `body` is None until it has been read, which is
    always before a plugin that declares that it reads the body.
    """

    method: str
    path: str
    headers: Headers
    query: str = ""
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Response:
    """An answer: from the upstream, or made by the gateway. `body` is None while it is not here."""

    status: int
    headers: Headers = field(default_factory=Headers)
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer, as plugins see them: values to read, never to change.

    `key` is None on a public rule. `client` is the client's address behind trusted proxies.
    `notes` are what this plugin noted in earlier stages of the same exchange.
    """

    id: str
    tenant: Tenant
    rule: Rule
    request: Request
    client: str
    key: ApiKey | None = None
    response: Response | None = None
    notes: Mapping[str, object] = field(default_factory=lambda: EMPTY)
