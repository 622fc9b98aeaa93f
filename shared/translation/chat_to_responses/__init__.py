"""Clients of OpenAI's chat, with an upstream that speaks OpenAI's responses."""

from collections.abc import Mapping
from typing import Final

from shared.translation.chat_to_responses.events import Events
from shared.translation.chat_to_responses.items import PARTS
from shared.translation.chat_to_responses.request import MEMBERS, request
from shared.translation.chat_to_responses.response import ITEMS, response
from shared.translation.errors import chat_error
from shared.translation.members import Member
from shared.translation.translation import Translation

__all__ = ["TABLES", "TRANSLATION"]

#: The action for each member, for docs/reference/translation.md.
TABLES: Final[Mapping[str, Mapping[str, Member]]] = {
    "member of a request": MEMBERS,
    "part of a message": PARTS,
    "item of a response": ITEMS,
}
TRANSLATION: Final = Translation(request, response, Events, chat_error)
