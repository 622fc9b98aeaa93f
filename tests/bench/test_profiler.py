"""A profile names the functions that take the most time, and leaves out those that wait."""

import cProfile
import pstats
import time

from bench.profiler import calls_in, top


def work() -> int:
    return sum(len(str(number)) for number in range(20_000))


def test_top_of_a_profile_names_what_works_and_not_what_waits() -> None:
    with cProfile.Profile() as profile:
        time.sleep(0.05)
        work()
        work()
    stats = pstats.Stats(profile)
    found = top(stats, units=2, count=3)
    assert any(
        one.name.startswith("tests/bench/test_profiler.py:") and "genexpr" in one.name for one in found
    )
    assert [one for one in found if "sleep" in one.name] == []
    calls = next(one.calls for one in found if one.name == "built-in method builtins.len")
    assert 20_000 <= calls < 20_200  # those of other threads and of the collector are counted, too
    assert 0 < sum(one.share for one in found) <= 1
    assert calls_in(stats) > 80_000
