"""Fields that only the platform may write or see, in resources that tenants manage or read themselves."""

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from admin_app.auth.access import caller
from admin_app.context import services
from admin_app.http.errors import ApiError
from shared.core.errors import Problem
from shared.model.budgets import PLATFORM, TENANT, Budget
from shared.model.config import RuleLimits, Tenant

TENANT_FIELDS = ("subdomain", "tier", "status", "enabled_plugins", "required_plugins")
RULE_FIELDS = ("ca",)
PROVIDER_FIELDS = ("ca",)
# Of a budget of the platform, a tenant may write none.
_PLATFORMS_BUDGET = "Only the platform may change a budget of its own. Ask the gateway's operator."


def check_fields(names: tuple[str, ...], before: Any, after: Any) -> ApiError | None:
    """403 if a tenant changes one of the fields `names`. It may send their stored values back."""
    if caller().is_platform:
        return None
    written = [name for name in names if getattr(before, name) != getattr(after, name)]
    if not written:
        return None
    problems = [Problem(f"/{name}", "Only the platform may write this field.") for name in written]
    detail = f"Only the platform may write: {', '.join(written)}."
    return ApiError("forbidden", detail, problems)


def own_kind() -> str:
    """The kind of owner of budgets that the caller is."""
    return PLATFORM if caller().is_platform else TENANT


def may_change(budget: Budget) -> bool:
    """Whether the caller may change a budget."""
    return caller().is_platform or budget.owner != PLATFORM


def check_owner(before: Budget, after: Budget | None) -> ApiError | None:
    """403 if a tenant changes a budget of the platform, or makes one. None is no budget."""
    if before == after or (may_change(before) and (after is None or may_change(after))):
        return None
    return ApiError("forbidden", _PLATFORMS_BUDGET, [Problem("/owner", _PLATFORMS_BUDGET)])


def visible_keys(tenant: Tenant) -> Collection[str] | None:
    """The ids of keys of providers that the caller may see in what `tenant` has called; None: all."""
    return None if caller().is_platform else {key.id for one in tenant.providers for key in one.keys}


def check_body_limits(before: RuleLimits, after: RuleLimits) -> tuple[list[Problem], ApiError | None]:
    """The limits above the operator's ceilings, and 403 if a tenant raises a limit above the default."""
    limits, above, raised = services().settings.limits, [], []
    for name in ("request_body", "response_body"):
        stored, wanted = getattr(before, name) or 0, getattr(after, name) or 0
        default, most = getattr(limits, name), getattr(limits, f"max_{name}")
        if wanted > max(most, stored):
            above.append(Problem(f"/limits/{name}", f"Must be at most {most} bytes (limits.max_{name})."))
        if wanted > max(default, stored):
            detail = f"Only the platform may raise it above the default of {default} bytes."
            raised.append(Problem(f"/limits/{name}", detail))
    if raised and not caller().is_platform:
        return above, ApiError("forbidden", raised[0].detail, raised)
    return above, None


def writable_limits(before: RuleLimits, after: RuleLimits) -> RuleLimits:
    """`after`, with the stored limit in place of each one that the caller may not raise so far."""
    if caller().is_platform:
        return after
    defaults = services().settings.limits
    names = [
        name
        for name in ("request_body", "response_body")
        if (getattr(after, name) or 0) > max(getattr(defaults, name), getattr(before, name) or 0)
    ]
    return replace(after, **{name: getattr(before, name) for name in names})
