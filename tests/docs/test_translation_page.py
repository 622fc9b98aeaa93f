"""docs/explanation/translation.md: its rule is accepted, its APIs are those that are translated, its headers are real."""

import json
import re

from shared.documents.rule import RuleInput
from shared.providers.calls import ANTHROPIC_MESSAGES, OPENAI_CHAT, OPENAI_RESPONSES
from shared.translation.notes import HEADER, UNSUPPORTED, Notes
from shared.translation.pairs import TRANSLATIONS
from tests.support.commands import ROOT

PAGE = (ROOT / "docs" / "explanation" / "translation.md").read_text()
_NAMES = {"chat": OPENAI_CHAT, "messages": ANTHROPIC_MESSAGES, "responses": OPENAI_RESPONSES}


def test_the_rule_of_the_page_is_accepted() -> None:
    (block,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    rule = RuleInput().load(json.loads(block))
    assert (rule["ai"].translate.unsupported, rule["ai"].translate.reasoning) == ("reject", "hide")
    assert re.findall(r"^\| `(\w+)` \| ", PAGE, re.MULTILINE) == ["unsupported", *UNSUPPORTED]


def test_the_apis_of_the_page_are_those_that_are_translated() -> None:
    rows = re.findall(r"^\| (?:OpenAI|Anthropic)'s (\w+) \| (.*) \|$", PAGE, re.MULTILINE)
    listed = {
        (_NAMES[client], api)
        for client, spoken in rows
        for name, api in _NAMES.items()
        if name in spoken and name != client
    }
    assert listed == set(TRANSLATIONS)


def test_the_header_of_the_page_is_one_that_is_sent() -> None:
    notes = Notes()
    notes.drop("seed")
    notes.change("temperature")
    assert f"`{HEADER}: {notes.header(ANTHROPIC_MESSAGES)}`" in PAGE
