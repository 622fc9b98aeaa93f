"""All pages, by the names of their files. A test fails when a file is not as its page."""

from collections.abc import Callable, Mapping
from pathlib import Path

from scripts.reference.admin_api import admin_api_page
from scripts.reference.bounds import bounds_page
from scripts.reference.errors import errors_page
from scripts.reference.gw import gw_page
from scripts.reference.logs import logs_page, logs_schema
from scripts.reference.metrics import metrics_page
from scripts.reference.pools import pools_page
from scripts.reference.providers import providers_page
from scripts.reference.scopes import scopes_page
from scripts.reference.settings import settings_page
from scripts.reference.translation import translation_page

FOLDER = Path(__file__).parents[2] / "docs" / "reference"
PAGES: Mapping[str, Callable[[], str]] = {
    "providers.md": providers_page,
    "pools.md": pools_page,
    "translation.md": translation_page,
    "settings.md": settings_page,
    "errors.md": errors_page,
    "admin-api.md": admin_api_page,
    "scopes.md": scopes_page,
    "bounds.md": bounds_page,
    "logs.md": logs_page,
    "metrics.md": metrics_page,
    "logs.schema.json": logs_schema,
    "gw.md": gw_page,
}
