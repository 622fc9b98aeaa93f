"""The pages show the figures of the recorded run, and no others."""

import re
from xml.etree import ElementTree

import pytest

from bench.charts import Bar, bars, line
from bench.pages import DATA, PAGES, charts, figures, with_figures, without_figures
from bench.results import read_results

RECORDED = read_results(DATA)
#: Measured figures have units. Bounds that a test enforces stand beside the name of the test.
FIGURE = re.compile(r"\b[\d.,]+ ?(?:us|ms|x|MB/s|requests per second)\b")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page_shows_the_figures_of_the_recorded_run(page) -> None:
    text = page.read_text(encoding="utf-8")
    assert with_figures(text, figures(RECORDED)[page]) == text, "run: python -m bench.pages"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page_has_no_measured_figure_that_is_written_by_hand(page) -> None:
    lines = without_figures(page.read_text(encoding="utf-8")).splitlines()
    assert [line for line in lines if FIGURE.search(line) and "`tests/" not in line] == []


def test_charts_are_those_of_the_recorded_run() -> None:
    found = {file.name: file.read_text(encoding="utf-8") for file in DATA.parent.glob("*.svg")}
    assert found == charts(RECORDED), "run: python -m bench.pages"
    page = PAGES[0].read_text(encoding="utf-8")
    assert [name for name in found if f"(../benchmarks/{name})" not in page] == []


def test_page_without_a_place_for_figures_is_an_error() -> None:
    with pytest.raises(ValueError, match="once"):
        with_figures("# A page\n", "figures\n")


@pytest.mark.parametrize(
    "chart",
    [
        bars("Cost <us>", "Shorter is better.", [Bar("nginx", 7.0, False), Bar("express", 0.0, True)]),
        line("Cost <us>", "By rules.", [(1, 0.0), (10, 90.5), (1000, 1234.0)]),
        line("Cost <us>", "One point, at zero.", [(1, 0.0)]),
    ],
    ids=["bars", "line", "one point"],
)
def test_chart_is_xml_with_a_title_and_both_themes(chart: str) -> None:
    root = ElementTree.fromstring(chart)
    assert root[0].text == "Cost <us>"
    assert "prefers-color-scheme: dark" in chart


def test_line_stays_inside_its_area_and_shows_every_number() -> None:
    chart = line("Cost", "By rules.", [(1, 3.0), (10, 90.5), (1000, 1234.0)])
    assert all(f">{text}</text>" in chart for text in ("1", "10", "1,000", "3", "90.5", "1,234"))
    places = re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', chart)
    assert all(0 < float(x) < 720 and 52 <= float(y) <= 292 for x, y in places)


def test_chart_of_nothing_is_an_error() -> None:
    for draw in (bars, line):
        with pytest.raises(ValueError, match="nothing to draw"):
            draw("Cost", "Nothing.", [])
