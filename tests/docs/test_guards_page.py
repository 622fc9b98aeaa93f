"""docs/reference/guards.md is what the table of the APIs says."""

import sys
from itertools import chain

from shared.plugin_tools.guards_page import guards_page
from shared.providers.apis.text_fields import APIS
from tests.support.commands import ROOT, run_command

PAGE = (ROOT / "docs" / "reference" / "guards.md").read_text(encoding="utf-8")


def test_guards_page_is_up_to_date() -> None:
    """When this fails: python -m shared.plugins guards > docs/reference/guards.md"""
    assert guards_page(APIS) == PAGE


def test_the_command_that_it_names_prints_the_page_of_guards() -> None:
    assert "python -m shared.plugins guards > docs/reference/guards.md" in PAGE
    assert run_command(sys.executable, "-m", "shared.plugins", "guards").stdout == PAGE


def test_guards_page_names_what_is_judged_media_and_not_seen_of_every_api() -> None:
    for api in APIS:
        section = PAGE.partition(f"\n## {api.name}\n")[2].partition("\n## ")[0]
        assert "| text" in section
        assert "| not seen |" in section
        rows = (
            api.texts,
            api.labels,
            api.media,
            api.opaque,
            api.free,
            api.json,
            api.numbers,
            api.tokens,
            api.ids,
        )
        for path in chain.from_iterable(rows):
            assert path.replace("|", "\\|") in section
