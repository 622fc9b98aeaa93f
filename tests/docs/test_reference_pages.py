"""The pages of docs/reference are what the code says."""

from collections.abc import Callable

import pytest

from scripts.reference.pages import FOLDER, PAGES


@pytest.mark.parametrize(("name", "page"), PAGES.items(), ids=PAGES)
def test_reference_page_is_up_to_date(name: str, page: Callable[[], str]) -> None:
    """When this fails: python -m scripts.reference"""
    assert (FOLDER / name).read_text(encoding="utf-8") == page()


def test_reference_pages_list_every_error_setting_and_operation() -> None:
    errors, settings, api = (PAGES[name]() for name in ("errors.md", "settings.md", "admin-api.md"))
    assert "| 413 | `body_too_large` |" in errors
    assert "| 412 | `precondition_failed` |" in errors
    assert "client_closed" not in errors
    assert "| `limits.timeouts.first_byte` |" in settings
    assert "| `DELETE /api/v1/tenants/{tenant_id}` | Delete a tenant | the platform key |" in api
    assert "| `GET /livez` | Check that the process runs | no key |" in api
