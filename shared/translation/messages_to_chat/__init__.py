"""Clients of Anthropic's messages, with an upstream that speaks OpenAI's chat."""

from collections.abc import Mapping
from typing import Final

from shared.translation.errors import messages_error
from shared.translation.members import Member
from shared.translation.messages_to_chat.content import BLOCKS
from shared.translation.messages_to_chat.events import Events
from shared.translation.messages_to_chat.request import MEMBERS, request
from shared.translation.messages_to_chat.response import MESSAGE, response
from shared.translation.translation import Translation

__all__ = ["TABLES", "TRANSLATION"]

#: The action for each member, for docs/reference/translation.md.
TABLES: Final[Mapping[str, Mapping[str, Member]]] = {
    "member of a request": MEMBERS,
    "block of a message": BLOCKS,
    "member of the message of a response": MESSAGE,
}
TRANSLATION: Final = Translation(request, response, Events, messages_error)
