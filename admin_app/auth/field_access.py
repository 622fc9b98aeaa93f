"""Fields that only the platform may write, in resources that tenants manage themselves."""

from collections.abc import Mapping
from typing import Any

from flask import request

from admin_app.auth.access import caller
from admin_app.http.errors import ApiError
from shared.core.errors import Problem

TENANT_FIELDS = ("subdomain", "tier", "status", "enabled_plugins", "required_plugins")
RULE_FIELDS = ("ca",)


def check_fields(names: tuple[str, ...], sent: Mapping[str, Any], before: Any, after: Any) -> None:
    """Raise 403 when a tenant writes one of the fields `names`.

    A PATCH must not contain them. A PUT contains every field, so it must not change these.
    """
    if caller().is_platform:
        return
    if request.method == "PATCH":
        written = [name for name in names if name in sent]
    else:
        written = [name for name in names if getattr(before, name) != getattr(after, name)]
    if written:
        problems = [Problem(f"/{name}", "Only the platform may write this field.") for name in written]
        detail = f"Only the platform may write: {', '.join(written)}."
        raise ApiError("forbidden", detail, problems)
