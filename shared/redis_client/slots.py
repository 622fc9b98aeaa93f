"""The slots of a Cluster: which one has a key, and which key a command is about."""

import re
from binascii import crc_hqx
from collections.abc import Mapping, Sequence
from typing import Any, Final

#: The number of slots.
SLOTS: Final = 16_384

#: Host and port.
Address = tuple[str, int]

# The place of the first key in a command, where it is not the first argument.
_KEY_AT: Final = {"EVALSHA": 3, "EVAL": 3}
_NO_KEY: Final = frozenset({"PING", "INFO", "ROLE"})
_REDIRECTION: Final = re.compile(r"(MOVED|ASK) ([0-9]{1,5}) (.*):([0-9]{1,5})")


def slot_of(key: str) -> int:
    """The slot of a key: of the part between the first braces, if it has one."""
    begin = key.find("{") + 1
    if begin and (end := key.find("}", begin)) > begin:
        key = key[begin:end]
    return crc_hqx(key.encode(), 0) % SLOTS


def key_of(command: Sequence[str | bytes | int]) -> str | None:
    """The first key of a command that this gateway sends; None without any."""
    name = str(command[0])
    return None if name in _NO_KEY else str(command[_KEY_AT.get(name, 1)])


def parse_redirection(error: str, asked: Address) -> tuple[int, Address]:
    """The slot and the node of a MOVED or ASK that `asked` has sent. Raises ValueError on another form.

    A node that does not know its own host names none: it is the one that was asked.
    """
    found = _REDIRECTION.fullmatch(error)
    if found is None or int(found[2]) >= SLOTS:
        raise ValueError(f"{error} is not a redirection.")
    return int(found[2]), (found[3].strip("[]") or asked[0], int(found[4]))


def parse_slots(reply: Any, asked: Address, address_map: Mapping[Address, Address]) -> list[Address | None]:
    """The primary of each slot in a reply to CLUSTER SLOTS of `asked`; None where there is none.

    `address_map` has the reachable address of an announced one. Raises ValueError on another form.
    """
    table: list[Address | None] = [None] * SLOTS
    try:
        for first, last, (host, port, *_), *_ in reply:
            announced = ((host or asked[0].encode()).decode(), int(port))
            address = address_map.get(announced, announced)
            table[first : last + 1] = [address] * (last - first + 1)
    except (TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"This is not a list of slots: {error!r}") from None
    if len(table) != SLOTS:
        raise ValueError("This list of slots names others.")
    return table
