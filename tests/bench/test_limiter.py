"""The promises that the benchmark of the limiter shows."""

from pathlib import Path
from statistics import median

import pytest
import uvloop

from bench.limiter import LIMIT, LIMITS, OURS, measure_speed, worst_windows
from shared.redis_server.embedded import Embedded


@pytest.mark.slow
@pytest.mark.alone
def test_limiter_decides_four_times_as_fast_in_one_command_and_never_exceeds_the_limit(
    tmp_path: Path,
) -> None:
    server = Embedded(tmp_path)
    server.open()
    try:
        ours, *others = uvloop.run(measure_speed((OURS, *LIMITS), str(server.socket), 5, 0.5))
        worst = uvloop.run(worst_windows((OURS, *LIMITS), str(server.socket)))
    finally:
        server.close()
    assert set(ours.commands) == {1.0}
    for other in others:
        ratio = median(mine / its for mine, its in zip(ours.rates, other.rates, strict=True))
        print(f"\n{other.name}: {ratio:.1f} x, {worst[other.name]} admitted under attack")
        assert ratio >= 4
    assert worst[OURS.name] <= LIMIT
    assert worst["limits, fixed window"] > 1.9 * LIMIT
