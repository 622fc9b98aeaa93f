"""The members of a request: which are mapped, dropped or rejected, as a table; and what they must be.

The tables of the pairs are data, which docs/reference/translation.md shows.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from shared.core.json_pointer import escape_step
from shared.translation.notes import Document, Notes, Untranslatable

MAP: Final = "map"
DROP: Final = "drop"
REJECT: Final = "reject"


class Member(NamedTuple):
    """How a member of a request is translated.

    Attributes:
        action: `MAP`, `DROP` or `REJECT`.
        to: of a mapped one, the members that it becomes; of a rejected one, what to do instead.
        harmless: the values of a rejected one that ask for nothing.
    """

    action: str
    to: str = ""
    harmless: Sequence[Any] = ()


def mapped(to: str) -> Member:
    return Member(MAP, to)


def rejected(instead: str, *harmless: Any) -> Member:
    return Member(REJECT, instead, harmless)


DROPPED: Final = Member(DROP)


def mapped_members(document: Document, members: Mapping[str, Member], notes: Notes) -> Document:
    """The members that are mapped. The others are dropped or rejected; null says nothing, as in both APIs."""
    kept: Document = {}
    for name, value in document.items():
        member = members.get(name, DROPPED)
        if value is None or value in member.harmless:
            continue
        if member.action == MAP:
            kept[name] = value
        elif member.action == DROP:
            notes.drop(name, f"/{escape_step(name)}")
        else:
            notes.reject(name, f"/{escape_step(name)}", member.to)
    return kept


_WORDS: Final[Mapping[type, str]] = {str: "text", list: "a list", dict: "an object", int: "a whole number"}


def must_be[Kind](kind: type[Kind], value: Any, pointer: str) -> Kind:
    """The value, if its type is the one that the API of the client demands. Raises `Untranslatable`."""
    if type(value) is not kind:
        raise Untranslatable(pointer, f"Must be {_WORDS[kind]}.")
    return value


def number(value: Any, pointer: str) -> float:
    """The value, if it is a number. Raises `Untranslatable`."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Untranslatable(pointer, "Must be a number.")
    return value


def objects(value: Any, pointer: str) -> Iterator[tuple[str, Document]]:
    """The objects of a list, each with its pointer. Raises `Untranslatable`."""
    for index, item in enumerate(must_be(list, value, pointer)):
        yield f"{pointer}/{index}", must_be(dict, item, f"{pointer}/{index}")


def texts(value: Any, pointer: str) -> list[str]:
    """The texts of a list. Raises `Untranslatable`."""
    items = must_be(list, value, pointer)
    return [must_be(str, item, f"{pointer}/{index}") for index, item in enumerate(items)]


def object_of(value: Any) -> Document:
    """The value, if it is an object; else an empty one. For what upstreams send."""
    return value if isinstance(value, dict) else {}


def objects_of(value: Any) -> list[Document]:
    """The objects of a list; none of anything else. For what upstreams send."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
