"""The notes of a translation: members that it loses, changes or rejects, and the settings that decide it.

Each member of a request is one of three things: it is mapped; it is dropped, and reported; or the request is
rejected, with a pointer to the member and what to use instead. The setting `unsupported` makes rejections of
all that is dropped, or drops what would be rejected.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from shared.core.errors import Invalid, Problem

type Document = dict[str, Any]

#: The values of the setting `unsupported`.
DEFAULT: Final = "default"
REJECT: Final = "reject"
DROP: Final = "drop"
UNSUPPORTED: Final = (DEFAULT, REJECT, DROP)
#: The values of the setting `reasoning`.
EXPOSE: Final = "expose"
HIDE: Final = "hide"
REASONING: Final = (EXPOSE, HIDE)

#: The response header with the report.
HEADER: Final = "X-Gateway-Translated"
# A name comes from the client, and stands in a header.
_NAME: Final = re.compile(r"[A-Za-z0-9_.\-]{1,64}")
_OTHER: Final = "other"
_MOST: Final = 32


class Untranslatable(Invalid):
    """A request that the other API cannot express: where, and what to use instead."""

    def __init__(self, pointer: str, detail: str) -> None:
        super().__init__([Problem(pointer, detail)])
        self.pointer = pointer
        self.detail = detail


class BadResponse(ValueError):
    """A response that is not one of the API of its upstream, or ended with an error of the model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a rule translates.

    Attributes:
        unsupported: what happens to members that the upstream lacks; one of `UNSUPPORTED`.
        reasoning: whether the client gets the thoughts of the model; one of `REASONING`.
        kind: the kind of the provider, such as ``openai``.
        secret: the key of the hashes that take the place of names of users.
    """

    unsupported: str = DEFAULT
    reasoning: str = EXPOSE
    kind: str = ""
    secret: bytes = b""


#: The defaults of a rule without settings.
DEFAULTS: Final = Settings()


class ClientTool(NamedTuple):
    """A tool of the client for which the upstream got a function.

    Attributes:
        kind: the type of the client's tool, such as ``custom``.
        name: its name.
        namespace: the group of tools that it is in; empty: none.
    """

    kind: str
    name: str
    namespace: str = ""


class Notes:
    """The report of one translation, and what the response needs of the request.

    >>> notes = Notes()
    >>> notes.drop("seed"); notes.change("temperature")
    >>> notes.header("anthropic.messages")
    'anthropic.messages; dropped=seed; changed=temperature'

    Attributes:
        include_usage: the client of a stream of chunks asked for the usage.
        tool_names: the client's names of tools by those that the upstream got in their place.
        client_tools: the client's tools of other kinds than functions, by the names of their functions.
        repeated: the members of the request that its response has, too.
    """

    __slots__ = (
        "_changed",
        "_dropped",
        "_unsupported",
        "client_tools",
        "include_usage",
        "repeated",
        "tool_names",
    )

    def __init__(self, unsupported: str = DEFAULT) -> None:
        self._unsupported = unsupported
        self._dropped: dict[str, None] = {}
        self._changed: dict[str, None] = {}
        self.include_usage = False
        self.tool_names: dict[str, str] = {}
        self.client_tools: dict[str, ClientTool] = {}
        self.repeated: Document = {}

    @property
    def dropped(self) -> list[str]:
        """The names of members that the other side does not get, each once."""
        return list(self._dropped)

    @property
    def changed(self) -> list[str]:
        """The names of members that the other side gets with another meaning, each once."""
        return list(self._changed)

    def drop(self, name: str, pointer: str = "") -> None:
        """Report a member of a request that is lost. Raises `Untranslatable` when the setting says so."""
        if self._unsupported == REJECT:
            where = pointer or f"/{name}"
            raise Untranslatable(where, "The API of this model has no such member. Leave it out.")
        self.lose(name)

    def reject(self, name: str, pointer: str, detail: str) -> None:
        """Raise `Untranslatable`. If the setting says to drop, the caller leaves the member out."""
        if self._unsupported != DROP:
            raise Untranslatable(pointer, detail)
        self.lose(name)

    def lose(self, name: str) -> None:
        """Report what is lost on any setting, such as a part of a response."""
        self._dropped[name] = None

    def change(self, name: str) -> None:
        """Report a member that the other side gets with another meaning."""
        self._changed[name] = None

    def add(self, other: "Notes") -> None:
        """Take over what another translation of the same request reports."""
        self._dropped.update(other._dropped)
        self._changed.update(other._changed)
        self.include_usage |= other.include_usage
        self.tool_names = {**other.tool_names, **self.tool_names}
        self.client_tools = {**other.client_tools, **self.client_tools}
        self.repeated = {**other.repeated, **self.repeated}

    def header(self, api: str) -> str:
        """The value of `HEADER`: the API of the upstream, and the report."""
        lists = (("dropped", self._dropped), ("changed", self._changed))
        return "; ".join([api, *(f"{kind}={_listed(names)}" for kind, names in lists if names)])


def _listed(names: Iterable[str]) -> str:
    safe = list(dict.fromkeys(name if _NAME.fullmatch(name) else _OTHER for name in names))
    return ",".join([*safe[:_MOST], "more"] if len(safe) > _MOST else safe)


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The values that the translation of a response needs beside it.

    Attributes:
        notes: those of its request; the response adds to them.
        settings: those of the request.
        now: the time in seconds since 1970.
        token: random letters and digits, at least 24, for ids that the upstream does not give.
        model: the name of the model that the client gets; empty: that of the upstream.
        input_tokens: the estimate for a stream that reports its usage at its end.
    """

    notes: Notes = field(default_factory=Notes)
    settings: Settings = DEFAULTS
    now: int
    token: str
    model: str = ""
    input_tokens: int = 0

    def shown_id(self, given: Any) -> Any:
        """The id of the upstream's response; None where `model` hides it: the form of an id names its API."""
        return None if self.model else given


#: The capabilities of a model, by the names of `shared.providers.shipped.caps`. An absent one is unknown.
type Caps = Mapping[str, Any]
