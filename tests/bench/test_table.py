"""Tables can be read: names to the left, figures to the right, a dash for what is not known."""

from bench.figures import Spread
from bench.table import cell, table


def test_columns_line_up() -> None:
    assert table(["", "requests/s"], [["direct", "123,456"], ["us", "9"]]).splitlines() == [
        "        requests/s",
        "------  ----------",
        "direct     123,456",
        "us               9",
    ]


def test_a_figure_is_scaled_and_rounded() -> None:
    assert cell(Spread(0.0012345, 0.001, 0.002, 3), 1e3, 2) == "1.23"
    assert cell(Spread(123456.7, 1, 2, 3)) == "123,457"


def test_a_range_is_shown_only_where_there_is_one() -> None:
    assert cell(Spread(2, 1, 3, 3), digits=1, ranged=True) == "2.0 (1.0..3.0)"
    assert cell(Spread(2, 2, 2, 1), digits=1, ranged=True) == "2.0"


def test_what_is_not_known_is_a_dash() -> None:
    assert cell(None) == "-"
