"""The part of docs/engine.md that shows the table of differences.

python -m tests.conformance.page    # writes it
"""

import itertools
import re
from pathlib import Path

from tests.conformance.differences import DIFFERENCES

PAGE = Path(__file__).parents[2] / "docs" / "engine.md"
BEGIN = "<!-- written by: python -m tests.conformance.page -->"
END = "<!-- end of what is written -->"


def rendered() -> str:
    """The table: one line for what an engine does instead, with the rows of the suite that hold it to that."""
    lines = [BEGIN, "| engine | what | instead | rows |", "|---|---|---|---|"]
    grouped = itertools.groupby(DIFFERENCES, lambda each: (each.engine, each.topic, each.instead))
    for (engine, topic, instead), group in grouped:
        rows = "; ".join(each.row for each in group)
        lines.append(f"| {engine} | {topic} | {instead} | {rows} |")
    return "\n".join([*lines, END])


def announced() -> set[str]:
    """The first column of the page's own table."""
    own = PAGE.read_text(encoding="utf-8").partition(BEGIN)[0]
    return set(re.findall(r"^\| (.+?) \| .+ \|$", own, re.MULTILINE)) - {"what"}


def written(page: str) -> str:
    """The page with the table as it is now. Raises ValueError when the page has no place for it."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE} has no lines {BEGIN} and {END}.")
    return before + rendered() + after


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
