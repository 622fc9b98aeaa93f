"""A plan: what a file makes of the stored configuration, judged by the checks of all other changes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from admin_app.auth.access import caller
from admin_app.changes.file.changes import PlanChange, named, names_by_id, plan_changes, renamed
from admin_app.changes.file.moved import check_moved
from admin_app.changes.file.request import Request, check_own
from admin_app.changes.file.stored import StoredOwners
from admin_app.changes.file.wanted import (
    last_use,
    name_of,
    platform_wanted,
    tenant_wanted,
    with_file_keys,
)
from admin_app.changes.platform import forget_platform, judge_by
from admin_app.changes.whole.document import (
    Problems,
    Wanted,
    Warnings,
    check_wanted,
    judged_platform,
    judged_tenant,
)
from admin_app.context import services
from admin_app.http.errors import ApiError, problem_documents
from shared.config_store.layout import PLATFORM_ID
from shared.config_store.records.contents import PlatformContent
from shared.config_store.records.platform import PlatformChange
from shared.core.errors import Invalid, NamesInUse, Problem
from shared.core.fields import timestamp_text
from shared.core.json_pointer import escape_step
from shared.documents.file.normal import NormalForm
from shared.documents.file.parse import FileDocument, FileOwner
from shared.documents.history.differences import Difference, content_differences, snapshot_differences
from shared.model.config import ApiKey, Snapshot, Tenant
from shared.model.providers import PlatformDocument
from shared.model.uses import uses_of

#: The most tenants that one plan may change. One script writes them all, and Redis does nothing else
#: meanwhile: 15 ms of CPU for so many with 10 new rules each, and 30 ms on a busy machine
#: (`tests/reliability/test_plans.py`). For 1,000 tenants it takes 60 ms, or 70 ms if they change. Limits wait
#: for Redis for 50 ms (`shared.limits.redis.limiter.DEADLINE`), so each worker would count alone meanwhile.
MAX_TENANTS = 200


class Step(NamedTuple):
    """The change of one owner: a tenant, or the platform. `at` is the owner's name in the file."""

    before: Any
    after: Any
    differences: Sequence[Difference]
    at: str


@dataclass(slots=True, kw_only=True)
class Plan:
    """The changes that a file makes to the stored configuration.

    Attributes:
        base: the revisions by which it was judged, by subdomain and ``platform``.
        platform: what happens to the platform; None: nothing.
        tenants: what happens to tenants.
        created: the new API keys with their secrets, and the subdomains of their tenants.
        warnings: what may not work as intended.
    """

    base: dict[str, int] = field(default_factory=dict)
    platform: Step | None = None
    tenants: list[Step] = field(default_factory=list)
    created: list[tuple[str, ApiKey, str]] = field(default_factory=list)
    warnings: Warnings = field(default_factory=list)

    @property
    def steps(self) -> Sequence[Step]:
        return [*([self.platform] if self.platform else []), *self.tenants]

    def changes(self) -> list[PlanChange]:
        """All changes, with places in the file."""
        return [
            change
            for step in self.steps
            for change in plan_changes(
                step.differences, names_by_id(step.before, step.after), step.at, _whole(step)
            )
        ]


def make_plan(request: Request) -> Plan:
    """The plan of a file for what is stored now. Raises `Invalid` with all problems, and `ApiError`."""
    forget_platform()
    check_own(request.document)
    stored = StoredOwners(request)
    _check_size(stored.new_count())
    file = stored.parse(request)
    plan = Plan(base=stored.base(file))
    problems = Problems()
    _plan_platform(plan, file, stored, request, problems)
    for subdomain, owner in (file.tenants or {}).items():
        _plan_tenant(plan, subdomain, owner, stored, request, problems)
    problems.raise_all()
    if stored.is_complete:
        named_ones = (file.tenants or {}).keys()
        _delete_tenants(plan, stored, [name for name in stored.tenants if name not in named_ones])
    _check_uses(plan)
    _check_size(len(plan.tenants))
    plan.warnings += problem_documents(_remarks(plan, file, stored, request))
    return plan


def _check_size(count: int) -> None:
    """Raise 422 if a plan changes too many tenants."""
    if count > MAX_TENANTS:
        detail = (
            f"The plan changes {count} tenants; {MAX_TENANTS} are allowed at a time. Split the file, or name "
            "some of its tenants in `tenants`."
        )
        raise ApiError("limit_reached", detail, [Problem("/document/tenants", detail)])


def _remarks(plan: Plan, file: FileDocument, stored: StoredOwners, request: Request) -> Iterator[Problem]:
    """Warnings about what the file does not name."""
    form = NormalForm(services().catalogue)
    for step in plan.steps:
        if step.before is not None and step.after is not None:
            yield from renamed(step.before, step.after, form, f"/document{step.at}")
        elif step.before is not None:
            yield from _in_use(step.before)
    is_partial = request.tenants is not None or file.tenants is None or not caller().is_platform
    if not request.prune or stored.is_complete or is_partial:
        return
    left = services().store.count() - sum(name in stored.tenants for name in file.tenants or ())
    if left:
        detail = f"Tenants that the file does not name stay: {left}. allow_delete_tenants deletes them."
        yield Problem("/document/tenants", detail)


def _in_use(deleted: Snapshot) -> Iterator[Problem]:
    """A warning if keys of a tenant that is deleted are in use."""
    now = services().clock.now()
    if uses := [used for key in deleted.keys if (used := last_use(key, now))]:
        name, when = deleted.tenant.subdomain, timestamp_text(max(uses))
        yield Problem("/document/tenants", f"{name} is deleted, and its API keys were last used at {when}.")


def _plan_platform(
    plan: Plan, file: FileDocument, stored: StoredOwners, request: Request, problems: Problems
) -> None:
    if file.platform is None:
        return
    before, now = stored.platform, services().clock.now()
    with problems.below("/document/platform"):
        plan.warnings += _below("/document/platform", check_moved(file.platform.moved, before))
    wanted = platform_wanted(
        file.platform,
        before,
        lambda shared, at: stored.shared(shared, at, problems),
        prune=request.prune,
        now=now,
    )
    with problems.below("/document"), _in_file(wanted, "/platform"):
        after, warnings = judged_platform(before, wanted, check_wanted(wanted), now)
        differences = content_differences(PlatformContent.of(before), PlatformContent.of(after))
        plan.warnings += _moved(warnings, names_by_id(after), "/platform")
        if differences:
            plan.platform = Step(before, after, differences, "/platform")
            # Tenants are judged by what the platform will be.
            judge_by(after)


def _plan_tenant(
    plan: Plan,
    subdomain: str,
    file: FileOwner,
    stored: StoredOwners,
    request: Request,
    problems: Problems,
) -> None:
    before, now, at = stored.tenants.get(subdomain), services().clock.now(), f"/tenants/{subdomain}"
    basis = before or Snapshot(Tenant(stored.ids[subdomain], "", "", created_at=now))
    with problems.below(f"/document{at}"):
        plan.warnings += _below(f"/document{at}", check_moved(file.moved, basis))
    keys = with_file_keys(basis, file, prune=request.prune, prune_used=request.prune_keys, now=now)
    basis = keys.snapshot
    wanted = tenant_wanted(file, basis, subdomain, prune=request.prune, now=now)
    with problems.below("/document"), _in_file(wanted, at):
        after: Snapshot = basis
        warnings: Warnings = []
        if before is None or _has_changes(wanted, before):
            after, warnings = judged_tenant(basis, wanted, check_wanted(wanted), now)
        if keys.problems:
            raise Invalid(keys.problems)
        differences = snapshot_differences(before, after, now)
        plan.warnings += _moved([*warnings, *problem_documents(keys.warnings)], names_by_id(after), at)
        plan.created += [(subdomain, key, secret) for key, secret in keys.created]
        if differences:
            plan.tenants.append(Step(before, after, differences, at))
            if uses_of(after):
                plan.base[PLATFORM_ID] = stored.platform.revision


def _has_changes(wanted: Wanted, before: Snapshot) -> bool:
    """Whether a part is sent, or one is missing."""
    tenant = before.tenant
    kinds: Any = (wanted.rules, wanted.providers, wanted.models, wanted.budgets, wanted.webhooks)
    stored: Any = (before.rules, tenant.providers, tenant.models, tenant.budgets, tenant.webhooks)
    return (
        bool(wanted.tenant)
        or any(part.sent for parts in kinds for part in parts.values())
        or any(len(parts) != len(known) for parts, known in zip(kinds, stored, strict=True))
    )


def _check_uses(plan: Plan) -> None:
    """Raise `NamesInUse` if tenants use what the platform loses, once the plan is applied."""
    if plan.platform is None:
        return
    removed = PlatformChange.between(plan.platform.before, plan.platform.after).removed_uses
    ends = {(one.before or one.after).tenant.id: one.after for one in plan.tenants}
    users = {
        use: [one for one in ids if one not in ends or (ends[one] and use in uses_of(ends[one]))]
        for use, ids in services().store.users_of(removed).items()
    }
    if left := {use: ids for use, ids in users.items() if ids}:
        raise NamesInUse(left)


def _delete_tenants(plan: Plan, stored: StoredOwners, subdomains: Iterable[str]) -> None:
    for name in subdomains:
        before = stored.tenants[name]
        differences = snapshot_differences(before, None, services().clock.now())
        plan.tenants.append(Step(before, None, differences, f"/tenants/{name}"))


@contextmanager
def _in_file(wanted: Any, at: str) -> Iterator[None]:
    """Give problems of an owner their places in the file."""
    names = {
        f"/{kind}/{part_id}": f"/{kind}/{escape_step(name_of(part))}"
        for kind in ("rules", "providers", "budgets", "webhooks")
        for part_id, part in getattr(wanted, kind).items()
    }

    def moved(problems: Iterable[Problem]) -> list[Problem]:
        return [replace(one, pointer=named(one.pointer, names, at)) for one in problems]

    try:
        yield
    except Invalid as error:
        raise Invalid(moved(error.problems)) from None
    except ApiError as error:
        problems = moved(error.problems) or [Problem(at, error.detail)]
        raise ApiError(error.code, error.detail, problems, status=error.status) from None


def _below(at: str, found: Iterable[Problem]) -> Warnings:
    return problem_documents(replace(one, pointer=at + one.pointer) for one in found)


def _moved(warnings: Warnings, names: Mapping[str, str], at: str) -> Warnings:
    return [{**one, "pointer": f"/document{named(one['pointer'], names, at)}"} for one in warnings]


def _whole(step: Step) -> str:
    if isinstance(step.before, PlatformDocument):
        return "update"
    return "create" if step.before is None else "delete" if step.after is None else "update"
