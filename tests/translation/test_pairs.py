"""Which API an upstream is called in."""

from typing import Any

import pytest

from shared.translation import chat_to_messages, messages_to_chat, pairs
from shared.translation.errors import chat_error, messages_error
from shared.translation.members import DROP, REJECT
from shared.translation.translation import Translation

CHAT, MESSAGES, RESPONSES = "openai.chat", "anthropic.messages", "openai.responses"


@pytest.mark.parametrize(
    ("client", "spoken", "api", "translation"),
    [
        (CHAT, [MESSAGES, CHAT], CHAT, None),
        (CHAT, [MESSAGES], MESSAGES, chat_to_messages.TRANSLATION),
        (MESSAGES, ["openai.embeddings", CHAT], CHAT, messages_to_chat.TRANSLATION),
    ],
)
def test_upstream_is_called_in_the_clients_api_or_by_a_translation(
    client: str, spoken: Any, api: str, translation: Any
) -> None:
    assert pairs.choose_api(client, spoken) == (api, translation)


@pytest.mark.parametrize("client", [CHAT, "openai.embeddings"])
def test_upstream_that_speaks_nothing_alike_is_not_called(client: str) -> None:
    assert pairs.choose_api(client, ["openai.images"]) is None


def test_two_apis_meet_in_chat() -> None:
    def other(*_: Any) -> Any:
        raise NotImplementedError

    direct = {
        (CHAT, MESSAGES): chat_to_messages.TRANSLATION,
        (MESSAGES, CHAT): messages_to_chat.TRANSLATION,
        (RESPONSES, CHAT): Translation(other, other, other, chat_error),
    }
    found = pairs._with_chains(direct)
    assert found.keys() - direct.keys() == {(RESPONSES, MESSAGES)}
    assert found[RESPONSES, MESSAGES].error(529, "x").status == 503


def test_error_is_one_of_the_clients_api() -> None:
    assert chat_to_messages.TRANSLATION.error(529, "x") == chat_error(529, "x")
    assert messages_to_chat.TRANSLATION.error(503, "x") == messages_error(503, "x")


@pytest.mark.parametrize(("client", "upstream"), pairs.TABLES)
def test_table_says_for_each_row_what_it_becomes_or_what_to_do(client: str, upstream: str) -> None:
    rows = [member for members in pairs.TABLES[client, upstream].values() for member in members.values()]
    assert all(bool(member.to) is (member.action != DROP) for member in rows)
    assert all(member.to.endswith(".") for member in rows if member.action == REJECT)
    assert (client, upstream) in pairs.TRANSLATIONS


def test_clients_call_an_upstream_by_what_it_speaks_and_what_is_translated() -> None:
    assert pairs.served_apis(["openai.embeddings"]) == {"openai.embeddings"}
    translated = {CHAT, RESPONSES, MESSAGES, "anthropic.count_tokens"}
    assert pairs.served_apis([MESSAGES]) == translated
    assert pairs.served_apis([CHAT, "openai.audio"]) == {*translated, "openai.audio"}
