"""The benchmark of dashboards asks what open pages ask, and finds its figures."""

import re
from urllib.parse import urlsplit

import pytest

from bench.dashboards import NEWEST, OPEN, PAGES, SHELL, bench
from tests.support.browser import Dashboard, admin, chromium, dashboard

__all__ = ["admin", "chromium", "dashboard"]

pytestmark = pytest.mark.slow


def addresses(urls: list[str]) -> list[str]:
    """The paths and queries that read data, with the place of the newest request."""
    found = [urlsplit(url)._replace(scheme="", netloc="").geturl() for url in urls]
    data = [one for one in found if one.startswith(("/api/", "/readyz"))]
    return [re.sub(r"after=[0-9-]+", f"after={NEWEST}", one) for one in data]


@pytest.mark.parametrize("path", PAGES)
def test_dashboard_of_the_benchmark_asks_what_the_page_asks(dashboard: Dashboard, path: str) -> None:
    page = PAGES[path]
    dashboard.open(path)
    dashboard.page.wait_for_timeout(1000 * page.seconds + 1500)
    asked = addresses(dashboard.asked)
    assert set(asked) == {*SHELL, *page.opening, *page.again}
    for one in page.again:
        assert asked.count(one) >= 2 or one in page.opening


def test_round_counts_requests_calls_and_cpu() -> None:
    with bench(200.0) as running:
        idle, open_pages = running.run(1.0, ()), running.run(1.5, OPEN)
    assert idle.asked == 0
    assert open_pages.asked >= 3 * len(OPEN)
    for one in (idle, open_pages):
        assert 150 < one.rate < 250
        assert 0 < one.worker < 0.01
        assert len(one.probes) >= 3
    assert open_pages.admin > idle.admin
