"""Fields that only the platform may write, in resources that tenants manage themselves."""

from typing import Any

from admin_app.auth.access import caller
from admin_app.http.errors import ApiError
from shared.core.errors import Problem

TENANT_FIELDS = ("subdomain", "tier", "status", "enabled_plugins", "required_plugins")
RULE_FIELDS = ("ca",)


def check_fields(names: tuple[str, ...], before: Any, after: Any) -> None:
    """Raise 403 when a tenant changes one of the fields `names`. It may send their stored values back."""
    if caller().is_platform:
        return
    written = [name for name in names if getattr(before, name) != getattr(after, name)]
    if written:
        problems = [Problem(f"/{name}", "Only the platform may write this field.") for name in written]
        detail = f"Only the platform may write: {', '.join(written)}."
        raise ApiError("forbidden", detail, problems)
