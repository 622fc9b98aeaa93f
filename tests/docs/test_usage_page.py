"""The page about usage names every number, and its figures are those of the code."""

import re
from pathlib import Path

from shared.usage import settler
from shared.usage.aggregates import CombinationCap
from shared.usage.archiver import KEPT_SECONDS
from shared.usage.asking import AUTO, UnableProviders
from shared.usage.pending import MAX_BYTES
from shared.usage.row import UNITS, Source

PAGE = (Path(__file__).parents[2] / "docs" / "explanation" / "usage.md").read_text(encoding="utf-8")
PROSE = " ".join(PAGE.split())


def test_page_names_every_number_and_source() -> None:
    table = PAGE[PAGE.index("| number |") : PAGE.index("`source` says")]
    assert sorted(re.findall(r"`(\w+)`(?=[^|]*\|[^|]+\|$)", table, re.MULTILINE)) == sorted(UNITS)
    for source in Source:
        assert f"`{source}`" in PAGE


def test_figures_of_the_page_are_those_of_the_code() -> None:
    assert f"keeps {settler.MAX_WAITING:,} rows in memory" in PROSE
    assert f"of up to {MAX_BYTES // 1024**2} MB per worker" in PROSE
    assert f"at most every {settler._INTERVAL * 1000:g} ms" in PROSE
    assert f"up to {settler._MAX_BATCH} rows" in PROSE
    assert f"kept for {settler._SUMS_SECONDS // 86_400} days" in PROSE
    assert f"up to {CombinationCap()._most:,} different combinations" in PROSE
    assert f"for {KEPT_SECONDS // 86_400} days, because reports" in PROSE
    assert UnableProviders.SECONDS == 3_600
    assert "does not ask that provider for an hour" in PROSE
    assert f'`"{AUTO}"`, the default' in PROSE
