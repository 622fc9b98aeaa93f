"""What docs/rate-limiting.md shows works as it is printed."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any, cast

import pytest

from shared.core.model import Stage
from shared.core.plugin import Continue, Entry, Reject, Tools
from shared.plugins.rate_limiter import RateLimiter
from shared.stores.memory_limiter import MemoryLimiter
from tests.plugins.exchanges import exchange

PAGE = (Path(__file__).parents[2] / "docs" / "rate-limiting.md").read_text(encoding="utf-8")
*SETTINGS, ANSWER = (json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL))
SHORT, FULL, BLOCK = SETTINGS


class Clock:
    """Stands at the start of a bucket of ten seconds / 64, until it is set."""

    seconds = 1_750_000_000.0

    def now(self) -> float:
        return self.seconds

    def monotonic(self) -> float:
        return self.seconds


@pytest.mark.parametrize("settings", SETTINGS)
def test_the_settings_of_the_page_are_accepted(settings: dict[str, Any]) -> None:
    RateLimiter.parse(settings)


def test_every_setting_stands_on_the_page() -> None:
    for name in RateLimiter.schema().fields:
        assert f"`{name}`" in PAGE or f"`{name}." in PAGE


def test_the_answer_of_the_page_is_given() -> None:
    clock = Clock()
    entry = Entry(RateLimiter.parse(BLOCK), Stage.PRE_REQUEST, 100, False, "closed", 1.0, "tenant", "t", "r")
    plugin = RateLimiter.combine([entry])
    plugin.connect(Tools(MemoryLimiter(clock), cast(Any, None), cast(Any, None)))
    for _ in range(3):
        assert isinstance(asyncio.run(plugin.pre_request(exchange())), Continue)
    clock.seconds += 10 + 10 / 64 - 4
    verdict = asyncio.run(plugin.pre_request(exchange()))
    assert isinstance(verdict, Reject)
    assert {
        "status": verdict.status,
        "headers": {**verdict.headers, **cast(dict[str, str], verdict.notes["headers"])},
        "code": verdict.code,
        "message": verdict.message,
        **verdict.details,
    } == ANSWER
