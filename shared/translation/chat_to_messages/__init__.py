"""Clients of OpenAI's chat, with an upstream that speaks Anthropic's messages."""

from shared.translation.chat_to_messages.events import Events
from shared.translation.chat_to_messages.request import MEMBERS, request
from shared.translation.chat_to_messages.response import response
from shared.translation.errors import chat_error
from shared.translation.translation import Translation

__all__ = ["MEMBERS", "TRANSLATION"]

TRANSLATION = Translation(request, response, Events, chat_error)
