"""What the benchmark of the limiter has to show."""

from pathlib import Path
from statistics import median

import pytest
import uvloop

from bench.limiter.attack import LIMIT, worst_windows
from bench.limiter.rivals import LIMITS, OURS
from bench.limiter.speed import measure
from shared.redis_server.embedded import Embedded


@pytest.mark.slow
def test_four_times_the_decisions_of_limits_in_one_command_each_and_never_above_the_limit(
    tmp_path: Path,
) -> None:
    server = Embedded(tmp_path)
    server.open()
    try:
        ours, *theirs = uvloop.run(measure((OURS, *LIMITS), str(server.socket), 5, 0.5))
        worst = uvloop.run(worst_windows((OURS, *LIMITS), str(server.socket)))
    finally:
        server.close()
    assert set(ours.commands) == {1.0}
    for rival in theirs:
        ratio = median(mine / its for mine, its in zip(ours.rates, rival.rates, strict=True))
        print(f"\n{rival.name}: {ratio:.1f} x, {worst[rival.name]} admitted under attack")
        assert ratio >= 4
    assert worst[OURS.name] <= LIMIT
    assert worst["limits, fixed window"] > 1.9 * LIMIT
