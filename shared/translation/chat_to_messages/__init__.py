"""Clients of OpenAI's chat, with an upstream that speaks Anthropic's messages."""

from collections.abc import Mapping
from typing import Final

from shared.translation.chat_to_messages.content import PARTS
from shared.translation.chat_to_messages.events import Events
from shared.translation.chat_to_messages.request import MEMBERS, request
from shared.translation.chat_to_messages.response import BLOCKS, response
from shared.translation.errors import chat_error
from shared.translation.members import Member
from shared.translation.translation import Translation

__all__ = ["TABLES", "TRANSLATION"]

#: The action for each member, for docs/reference/translation.md.
TABLES: Final[Mapping[str, Mapping[str, Member]]] = {
    "member of a request": MEMBERS,
    "part of a message": PARTS,
    "block of a response": BLOCKS,
}
TRANSLATION: Final = Translation(request, response, Events, chat_error)
