"""Clients of OpenAI's responses, with an upstream that speaks OpenAI's chat."""

from collections.abc import Mapping
from typing import Final

from shared.translation.errors import chat_error
from shared.translation.members import Member
from shared.translation.responses_to_chat.content import PARTS
from shared.translation.responses_to_chat.conversation import ITEMS
from shared.translation.responses_to_chat.events import Events
from shared.translation.responses_to_chat.request import MEMBERS, request
from shared.translation.responses_to_chat.response import MESSAGE_MEMBERS, response
from shared.translation.responses_to_chat.tools import TOOLS
from shared.translation.translation import Translation

__all__ = ["TABLES", "TRANSLATION"]

#: The action for each member, for docs/reference/translation.md.
TABLES: Final[Mapping[str, Mapping[str, Member]]] = {
    "member of a request": MEMBERS,
    "item of the input": ITEMS,
    "part of a message": PARTS,
    "tool": TOOLS,
    "member of the message of a response": MESSAGE_MEMBERS,
}
TRANSLATION: Final = Translation(request, response, Events, chat_error)
