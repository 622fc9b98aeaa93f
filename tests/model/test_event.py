"""Events, and what they become with other data."""

import pytest

from shared.model.event import Event


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_event_with_other_data_keeps_everything_else(end: str) -> None:
    raw = f": hi{end}event: x{end}data: one{end}id: 1{end}data:two{end}{end}".encode()
    changed = Event(raw, "one\ntwo").with_data("a\nb")
    assert changed.raw == f": hi{end}event: x{end}data: a{end}data: b{end}id: 1{end}{end}".encode()
    assert changed.data == "a\nb"


def test_an_event_that_was_cut_off_stays_cut_off() -> None:
    assert Event(b"data: one", "one").with_data("a\nb").raw == b"data: a\ndata: b"


def test_a_byte_order_mark_does_not_hide_the_data() -> None:
    assert Event(b"\xef\xbb\xbfdata: secret\n\n", "secret").with_data("x").raw == b"data: x\n\n"


def test_event_that_is_not_utf8_can_be_changed() -> None:
    assert Event(b": \xff\ndata: a\n\n", "a").with_data("b").raw == b": \xef\xbf\xbd\ndata: b\n\n"


@pytest.mark.parametrize("end", ["\n", "\r\n", ""])
def test_a_line_stays_one_line(end: str) -> None:
    line = Event(f'{{"a":1}}{end}'.encode(), '{"a":1}', is_line=True)
    assert line.with_data("{}").raw == f"{{}}{end}".encode()
    with pytest.raises(ValueError, match="must not contain"):
        line.with_data("a\nb")
