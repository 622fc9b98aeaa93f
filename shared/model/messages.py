"""Requests, responses and exchanges as plugins see them: read-only values."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple, Protocol, Self

from shared.core.empty import EMPTY
from shared.core.http_tokens import Fields
from shared.core.memo import Memo
from shared.model.config import ApiKey, Rule, Tenant

#: The name of a field as text in lower case.
LOWER: Memo[bytes, str] = Memo(lambda name: name.decode("latin-1").lower())


class Headers:
    """HTTP header fields in the order in which they came. The case of names does not matter.

    >>> h = Headers([("Set-Cookie", "a=1"), ("set-cookie", "b=2")])
    >>> h["SET-COOKIE"], h.all("set-cookie"), "x" in h
    ('a=1', ('a=1', 'b=2'), False)
    """

    # Most heads are only forwarded: text, bytes and index are made when they are needed.
    __slots__ = ("_fields", "_index", "_items")

    def __init__(self, items: Iterable[tuple[str, str]] = ()) -> None:
        self._items: tuple[tuple[str, str], ...] | None = tuple(items)
        self._fields: Fields | None = None
        self._index: dict[str, tuple[str, ...]] | None = None

    @classmethod
    def of(cls, fields: Fields) -> Self:
        """Make headers of bytes. As text, Latin-1 keeps every byte (RFC 9110, 5.5: obs-text)."""
        headers = cls.__new__(cls)
        headers._items, headers._fields, headers._index = None, fields, None
        return headers

    @staticmethod
    def of_map(headers: Mapping[str, str]) -> "Headers":
        """Make headers of a map: as bytes, unless one of them is not Latin-1."""
        fields = _wire(headers)
        return Headers(headers.items()) if fields is None else Headers.of(fields)

    def renewed(self, fields: Fields) -> "Headers":
        """Return headers of `fields`, which have the same names in the same order.

        What is the same object in both is not indexed again.
        """
        if fields is self._fields:
            return self
        headers = Headers.of(fields)
        if self._index is not None and self._fields is not None:
            index = dict(self._index)
            for old, new in zip(self._fields, fields, strict=True):
                if new is not old:
                    name = LOWER[new[0]]
                    if len(index[name]) > 1:
                        return headers
                    index[name] = (new[1].decode("latin-1"),)
            headers._index = index
        return headers

    @property
    def items(self) -> tuple[tuple[str, str], ...]:
        """Names and values as text."""
        if self._items is None:
            fields = self._fields or ()
            self._items = tuple([(name.decode("latin-1"), value.decode("latin-1")) for name, value in fields])
        return self._items

    @property
    def fields(self) -> Fields:
        """Names and values as bytes. A value of a plugin that is not Latin-1 is sent in UTF-8."""
        if self._fields is None:
            self._fields = tuple([(encoded(name), encoded(value)) for name, value in self.items])
        return self._fields

    def by_name(self) -> dict[str, tuple[str, ...]]:
        """Return all values by name in lower case. The dict is shared, and must not be changed."""
        if self._index is None:
            index: dict[str, tuple[str, ...]] = {}
            if self._items is None:
                lowered = [(LOWER[name], value.decode("latin-1")) for name, value in self._fields or ()]
            else:
                lowered = [(name.lower(), value) for name, value in self._items]
            for lower, value in lowered:
                index[lower] = (*index[lower], value) if lower in index else (value,)
            self._index = index
        return self._index

    def all(self, name: str) -> tuple[str, ...]:
        """Return all values of that name, in order."""
        return (self._index or self.by_name()).get(name.lower(), ())

    def get(self, name: str, default: str | None = None) -> str | None:
        """Return the first value of that name."""
        values = (self._index or self.by_name()).get(name.lower())
        return values[0] if values else default

    def __getitem__(self, name: str) -> str:
        return (self._index or self.by_name())[name.lower()][0]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in (self._index or self.by_name())

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self._fields or () if self._items is None else self._items)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self.items == other.items

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Headers({list(self.items)!r})"

    def patched(self, set_headers: Mapping[str, str], remove_headers: Iterable[str] = ()) -> "Headers":
        """Return a copy without `remove_headers`, with each of `set_headers` exactly once."""
        if not set_headers and not remove_headers:
            return self
        gone = {_LOWERED[name] for name in remove_headers}
        return self._replaced(gone, Headers.of_map(set_headers))

    def with_set(self, added: "Headers") -> "Headers":
        """Return a copy in which each field of `added` takes the place of all of its name."""
        return self._replaced((), added) if added.fields else self

    def _replaced(self, gone: Collection[str], added: "Headers") -> "Headers":
        if self._items is None and added._items is None:
            # Most changed heads are only sent, so their fields stay bytes.
            return Headers.of(with_fields(self.fields, added.fields, gone))
        gone = {*gone, *[LOWER[name] for name, _ in added.fields]}
        return Headers([item for item in self.items if item[0].lower() not in gone] + [*added.items])


#: No fields.
NO_HEADERS = Headers()


class SetHeaders(Headers):
    """Headers for `Headers.with_set`, of which their maker knows that they can be sent."""

    __slots__ = ()


def with_fields(fields: Fields, added: Fields, gone: Collection[str] = ()) -> Fields:
    """Return `fields` without those named `gone`; each of `added` takes the place of all of its name."""
    replaced = {LOWER[name] for name, _ in added}
    if gone:
        replaced.update(gone)
    return (*[field for field in fields if LOWER[field[0]] not in replaced], *added)


def _wire(headers: Mapping[str, str]) -> Fields | None:
    try:
        # All at once: a call for each value takes longer.
        values = "\n".join(headers.values()).encode("latin-1").split(b"\n")
        if len(values) == len(headers):
            return tuple(zip([_NAMES[name] for name in headers], values, strict=True))
        return tuple([(_NAMES[name], value.encode("latin-1")) for name, value in headers.items()])
    except UnicodeEncodeError:
        return None


_LOWERED: Memo[str, str] = Memo(str.lower)
_NAMES: Memo[str, bytes] = Memo(lambda name: name.encode("latin-1"))


def first_value(fields: Fields, name: str) -> bytes:
    """Return the first value of a name in lower case; empty without one. Makes no index, unlike `Headers`."""
    for written, value in fields:
        if LOWER[written] == name:
            return value
    return b""


def encoded(text: str) -> bytes:
    """Return a name or a value as bytes. One that came from the wire is sent unchanged."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode()


class Request(NamedTuple):
    """A request as the client sent it, normalized.

    Attributes:
        path: normalized, without the query; the form that was matched and will be forwarded.
        headers: with the value ``[redacted]`` for credentials.
        query: the bytes after the ``?``.
        body: None until it has been read; always read for a plugin that declares it.
    """

    method: str
    path: str
    headers: Headers
    query: str = ""
    body: bytes | None = None

    def with_body(self, body: bytes | None) -> "Request":
        return Request(self.method, self.path, self.headers, self.query, body)


class Response(NamedTuple):
    """A response of the upstream or of the gateway. `body` is None until it has been read."""

    status: int
    headers: Headers = NO_HEADERS
    body: bytes | None = None


class Expected(NamedTuple):
    """The expected use of a unit by a request, and how much of that is no guess."""

    usual: int
    least: int


class Metered(Protocol):
    """A request to a model: what it uses is estimated before it is sent, and known when it has ended.

    Units are those of `shared.model.budgets.METERED`; money is in nano-USD.
    """

    def expected(self, unit: str) -> Expected | None:
        """Its expected use; None for money if a price is not known. Longer texts take longer."""
        ...

    def used(self, unit: str) -> int | None:
        """Its use; 0 if no provider was called. None for money if the price is not known."""
        ...


class Exchange(NamedTuple):
    """One request and its response, as plugins see them.

    Attributes:
        id: the id of the request.
        client: the client's address, behind trusted proxies.
        key: None on a public rule.
        response: None before the upstream responds.
        notes: the notes of this plugin from earlier stages of the exchange.
        models: on a rule for AI, the names of the models that may serve the request, with and without their
            provider, and last the name that was asked for. Empty without a body and on other rules.
        metered: what the request uses of a model; None without a body and on other rules.
    """

    id: str
    tenant: Tenant
    rule: Rule
    request: Request
    client: str
    key: ApiKey | None = None
    response: Response | None = None
    notes: Mapping[str, object] = EMPTY
    models: tuple[str, ...] = ()
    metered: Metered | None = None

    # `_replace`, and a call with names, would take more than twice as long.

    def with_request(self, request: Request) -> "Exchange":
        return Exchange(
            self.id,
            self.tenant,
            self.rule,
            request,
            self.client,
            self.key,
            self.response,
            self.notes,
            self.models,
            self.metered,
        )

    def asking(self, request: Request, models: tuple[str, ...], metered: Metered | None) -> "Exchange":
        """The same with its request, once its models are known."""
        return Exchange(
            self.id,
            self.tenant,
            self.rule,
            request,
            self.client,
            self.key,
            self.response,
            self.notes,
            models,
            metered,
        )

    def with_response(self, response: Response | None) -> "Exchange":
        return Exchange(
            self.id,
            self.tenant,
            self.rule,
            self.request,
            self.client,
            self.key,
            response,
            self.notes,
            self.models,
            self.metered,
        )

    def with_notes(self, notes: Mapping[str, object]) -> "Exchange":
        return Exchange(
            self.id,
            self.tenant,
            self.rule,
            self.request,
            self.client,
            self.key,
            self.response,
            notes,
            self.models,
            self.metered,
        )
