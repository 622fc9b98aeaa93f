"""A failure that comes again is logged once per cause, until it ends."""

import doctest

from shared.core.process import failures
from shared.core.process.failures import Failures


def test_example_of_the_failures_runs() -> None:
    assert doctest.testmod(failures) == (0, 4)


def test_failures_of_different_work_do_not_hide_each_other() -> None:
    found = Failures()
    assert found.is_new(ValueError("full"), "disk")
    assert found.is_new(ValueError("full"), "log")
    found.end("disk")
    assert not found.is_new("full", "log")
    assert found.is_new("full", "disk")
    found.end("never failed")
