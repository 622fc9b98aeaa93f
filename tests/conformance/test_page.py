"""The table of differences is true, complete and shown."""

import re
from collections import Counter
from pathlib import Path

from tests.conformance.differences import DIFFERENCES
from tests.conformance.page import PAGE, announced, written

SOURCES = "".join(
    file.read_text(encoding="utf-8")
    for file in sorted(Path(__file__).parent.glob("*.py"))
    if file.name not in ("differences.py", "page.py", "test_page.py")
)


def test_the_page_shows_the_table_as_it_is() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert written(page) == page, "Stale: run `python -m tests.conformance.page`."


def test_every_difference_is_announced_in_the_pages_own_words() -> None:
    assert {each.topic for each in DIFFERENCES} <= announced()


def test_every_row_names_a_case_of_the_tests_and_is_listed_once() -> None:
    for each in DIFFERENCES:
        name = re.sub(", for HTTP/1.0$", "", each.row)
        assert f'"{name}"' in SOURCES, name
    assert max(Counter((each.engine, each.row) for each in DIFFERENCES).values()) == 1
