"""The pairs of APIs that are translated, and in which API an upstream is called.

A pair is the API of the client and that of the upstream. Two APIs that each have a translation to and from
chat have one through chat.
"""

from collections.abc import Collection, Mapping
from typing import Final

from shared.providers.calls import (
    ANTHROPIC_COUNT_TOKENS,
    ANTHROPIC_MESSAGES,
    OPENAI_CHAT,
    OPENAI_RESPONSES,
)
from shared.translation import chat_to_messages, chat_to_responses, messages_to_chat, responses_to_chat
from shared.translation.members import Member
from shared.translation.translation import Translation, chain

# The translations without a detour.
_DIRECT: Final[Mapping[tuple[str, str], Translation]] = {
    (OPENAI_CHAT, ANTHROPIC_MESSAGES): chat_to_messages.TRANSLATION,
    (ANTHROPIC_MESSAGES, OPENAI_CHAT): messages_to_chat.TRANSLATION,
    (OPENAI_CHAT, OPENAI_RESPONSES): chat_to_responses.TRANSLATION,
    (OPENAI_RESPONSES, OPENAI_CHAT): responses_to_chat.TRANSLATION,
}


def _with_chains(direct: Mapping[tuple[str, str], Translation]) -> dict[tuple[str, str], Translation]:
    """The translations, and those through chat of APIs that have none between them."""
    clients = [client for client, api in direct if api == OPENAI_CHAT]
    upstreams = [api for client, api in direct if client == OPENAI_CHAT]
    chains = {
        (client, api): chain(direct[client, OPENAI_CHAT], direct[OPENAI_CHAT, api])
        for client in clients
        for api in upstreams
        if client != api
    }
    return {**chains, **direct}


#: The action for each member, part and block, by pair. docs/reference/translation.md shows it.
TABLES: Final[Mapping[tuple[str, str], Mapping[str, Mapping[str, Member]]]] = {
    (OPENAI_CHAT, ANTHROPIC_MESSAGES): chat_to_messages.TABLES,
    (ANTHROPIC_MESSAGES, OPENAI_CHAT): messages_to_chat.TABLES,
    (OPENAI_CHAT, OPENAI_RESPONSES): chat_to_responses.TABLES,
    (OPENAI_RESPONSES, OPENAI_CHAT): responses_to_chat.TABLES,
}
#: The translations by pair.
TRANSLATIONS: Final[Mapping[tuple[str, str], Translation]] = _with_chains(_DIRECT)


def choose_api(client: str, spoken: Collection[str]) -> tuple[str, Translation | None] | None:
    """The API in which an upstream is called, and the translation if it needs one.

    None: the upstream cannot be called. The client's own API comes first: then all bytes pass. Chat is
    next, since to translate twice loses more.

    >>> choose_api("openai.chat", ["openai.chat", "anthropic.messages"])
    ('openai.chat', None)
    >>> choose_api("anthropic.messages", ["openai.embeddings", "openai.chat"])[0]
    'openai.chat'
    >>> choose_api("openai.embeddings", ["openai.chat"])
    """
    if client in spoken:
        return client, None
    for api in sorted(spoken, key=lambda one: one != OPENAI_CHAT):
        if (client, api) in TRANSLATIONS:
            return api, TRANSLATIONS[client, api]
    return None


def served_apis(spoken: Collection[str]) -> frozenset[str]:
    """The APIs by which clients can call an upstream: those that it speaks, and those that are translated.

    The gateway counts the tokens of messages where the upstream does not.

    >>> sorted(served_apis(["openai.responses"]))
    ['anthropic.count_tokens', 'anthropic.messages', 'openai.chat', 'openai.responses']
    """
    served = {*spoken, *(client for client, api in TRANSLATIONS if api in spoken)}
    return frozenset(served | {ANTHROPIC_COUNT_TOKENS} if ANTHROPIC_MESSAGES in served else served)
