"""What the benchmark of the plugin pipeline has to show."""

import pytest
import uvloop

from bench.pipeline.__main__ import measured, met


@pytest.mark.slow
def test_the_pipeline_meets_its_targets() -> None:
    rows = uvloop.run(measured(5, 1000))
    for name, found, unit, *_ in rows:
        print(f"\n{name}: {found:.2f} {unit}")
    assert [row for row in rows if not met(row)] == []
