"""Where something is that a provider stored for a tenant, and the requests that may go there."""

from dataclasses import dataclass
from typing import Self

import orjson

# The most characters of an id that an error shows.
_SHOWN = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """The target that made a response, and so knows it by its id.

    Attributes:
        provider: the id of the provider.
        model: the name that the provider knows the model by.
        key: the id of the provider's key; empty without one, and for a client's own credential.
        asked: the model that the client asked for: other keys may read the response if they may ask for it.
    """

    provider: str
    model: str
    key: str
    asked: str

    def encoded(self) -> bytes:
        """The binding as Redis has it."""
        return orjson.dumps([self.provider, self.model, self.key, self.asked])

    @classmethod
    def parse(cls, text: bytes) -> Self:
        """A binding that `encoded` wrote. Raises ValueError on anything else."""
        match orjson.loads(text):
            case [str() as provider, str() as model, str() as key, str() as asked]:
                return cls(provider=provider, model=model, key=key, asked=asked)
        raise ValueError("This is not a binding.")


@dataclass(frozen=True, slots=True)
class Pin:
    """The targets that may serve a request, because they know what it names.

    Attributes:
        targets: their ids.
        key: the id of the only key of the provider that may be used; None: any.
        id: the stored thing by which they were found; empty if none was.
    """

    targets: frozenset[str]
    key: str | None = None
    id: str = ""


def shown_id(id: str) -> str:
    """The id that a client sent, as an error shows it."""
    return repr(id if len(id) <= _SHOWN else f"{id[:_SHOWN]}…")
