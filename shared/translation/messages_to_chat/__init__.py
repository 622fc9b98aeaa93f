"""Clients of Anthropic's messages, with an upstream that speaks OpenAI's chat."""

from shared.translation.errors import messages_error
from shared.translation.messages_to_chat.events import Events
from shared.translation.messages_to_chat.request import MEMBERS, request
from shared.translation.messages_to_chat.response import response
from shared.translation.translation import Translation

__all__ = ["MEMBERS", "TRANSLATION"]

TRANSLATION = Translation(request, response, Events, messages_error)
