"""The targets that the benchmark of the plugin pipeline shows."""

import pytest
import uvloop

from bench.pipeline import measure
from bench.report import target_table


@pytest.mark.slow
@pytest.mark.alone
def test_pipeline_meets_its_targets() -> None:
    found = uvloop.run(measure(5, 1000))
    print(f"\n{target_table(found)}")
    assert [target for target in found if not target.is_met] == []
