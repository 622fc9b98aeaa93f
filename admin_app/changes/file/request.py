"""A file that is to be planned, and what a caller may have in it: checked before anything of it is read."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from admin_app.auth.access import caller
from admin_app.changes.snapshot import find_tenant, tier_maximum
from admin_app.changes.whole.webhook import too_many_webhooks
from admin_app.http.errors import ApiError
from shared.core.empty import EMPTY
from shared.core.errors import Invalid, Problem
from shared.core.json_pointer import escape_step
from shared.model.config import Snapshot
from shared.model.webhooks import MAX_WEBHOOKS

# The maximum of a tier for each section of a tenant.
_MAXIMUMS: Final = {
    "rules": "max_rules",
    "providers": "max_providers",
    "models": "max_models",
    "budgets": "max_budgets",
    "api_keys": "max_keys",
}
# Names of others that an error tells.
_MAX_NAMED: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A file, and how it is to be applied; the members are those of `PlanInput`."""

    document: Mapping[str, Any]
    prune: bool = False
    prune_keys: bool = False
    allow_delete_tenants: bool = False
    tenants: Sequence[str] | None = None
    file_name: str | None = None


def chosen(request: Request) -> Request:
    """The request with the tenants of its file that are chosen. Raises `Invalid` for one that it lacks."""
    written, names = request.document.get("tenants"), request.tenants
    if names is None or not (written is None or isinstance(written, Mapping)):
        return request
    wanted = [name.lower() for name in names]
    some = {name: one for name, one in (written or {}).items() if name.lower() in wanted}
    known = {name.lower() for name in some}
    missing = [
        Problem(f"/tenants/{at}", f"The file has no tenant {name}. Correct the subdomain.")
        for at, name in enumerate(wanted)
        if name not in known
    ]
    if missing:
        raise Invalid(missing)
    return request if written is None else replace(request, document={**request.document, "tenants": some})


def check_own(document: Mapping[str, Any]) -> None:
    """Raise 403 if a tenant's file has another owner, and 422 if it has more than the tier allows.

    To judge many thousand things takes minutes, so this comes before anything is judged.
    """
    own = caller().tenant_id
    if own is None:
        return
    written, snapshot = document.get("tenants"), find_tenant(own)
    tenants: Mapping[str, Any] = written if isinstance(written, Mapping) else {}
    subdomain = snapshot.tenant.subdomain
    places = ["/platform"] if "platform" in document else []
    places += [f"/tenants/{escape_step(name)}" for name in tenants if name.lower() != subdomain]
    if places:
        named = ", ".join(places[:_MAX_NAMED])
        more = f" and {len(places) - _MAX_NAMED} more" if len(places) > _MAX_NAMED else ""
        detail = f"A tenant's key may only plan /tenants/{subdomain}. Remove {named}{more}."
        problems = [
            Problem(f"/document{one}", "Only the platform may write it.") for one in places[:_MAX_NAMED]
        ]
        raise ApiError("forbidden", detail, problems)
    if found := [one for name, owner in tenants.items() for one in _too_many(name, owner, snapshot)]:
        raise Invalid(found)


def _too_many(name: str, owner: Any, stored: Snapshot) -> Iterator[Problem]:
    """A problem for each section with more things than the tier allows, and than there are."""
    sections = owner if isinstance(owner, Mapping) else EMPTY
    at, hooks = f"/document/tenants/{escape_step(name)}", sections.get("webhooks")
    if isinstance(hooks, Mapping) and len(hooks) > max(MAX_WEBHOOKS, len(stored.tenant.webhooks)):
        yield too_many_webhooks(f"{at}/webhooks", len(hooks))
    counts = {
        "rules": len(stored.rules),
        "providers": len(stored.tenant.providers),
        "models": len(stored.tenant.models),
        "budgets": len(stored.tenant.budgets),
        "api_keys": len(stored.keys),
    }
    for kind, count in counts.items():
        section = sections.get(kind)
        most = tier_maximum(stored.tenant, _MAXIMUMS[kind])
        if isinstance(section, Mapping) and most is not None and len(section) > max(most, count):
            shown = kind.replace("api_keys", "API keys")
            detail = f"The file has {len(section)} {shown}; the tier allows {most}. Remove some."
            yield Problem(f"{at}/{kind}", detail)
