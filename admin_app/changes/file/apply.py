"""Keeps plans, and applies them: all of a plan, or nothing, and only to what it was made for."""

import json
import zlib
from base64 import b64decode, b64encode
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields
from typing import Any, NamedTuple

from flask import Response

from admin_app.auth.access import caller
from admin_app.changes.attempts import FromFile, edit_of, log_change
from admin_app.changes.file.changes import summary_of
from admin_app.changes.file.plan import Plan, Step, make_plan
from admin_app.changes.file.request import Request
from admin_app.changes.idempotency import Respond, claim_of
from admin_app.context import services
from admin_app.http.errors import ApiError, not_found
from shared.config_store.history.edit import Edit
from shared.config_store.layout import PLATFORM_ID
from shared.config_store.records.contents import PlatformContent
from shared.config_store.records.together import PlatformWrite, TenantWrite, Together, Written
from shared.core.durations import HOUR_SECONDS
from shared.core.errors import Conflict
from shared.documents.history.differences import names_of
from shared.model.config import ApiKey

#: Seconds that a plan is kept.
KEPT_SECONDS = HOUR_SECONDS
#: Bytes that the plans of a tenant may take in Redis; those of the platform may take eight times as many.
KEPT_BYTES = 16 * 1024 * 1024
# Attempts to write a plan whose base stays the same, while its parts are removed as old ones.
_ATTEMPTS = 3


class Applied(NamedTuple):
    """The result of a plan: the versions by subdomain and ``platform``, and the new keys with secrets."""

    versions: Mapping[str, int]
    plan: Plan

    @property
    def summary(self) -> Mapping[str, int]:
        return summary_of(self.plan.changes())

    @property
    def created(self) -> list[tuple[str, ApiKey, str]]:
        return self.plan.created


def keep_plan(request: Request, plan: Plan) -> str:
    """Keep a plan for its caller, and return its id. The file may have secrets, so it is sealed."""
    plan_id = f"plan_{services().random_bytes(16).hex()}"
    members = {one.name: getattr(request, one.name) for one in fields(request)}
    text = json.dumps({"request": members, "base": plan.base})
    packed = b64encode(zlib.compress(text.encode(errors="surrogatepass"))).decode()
    sealed = services().sealer.seal(packed, _context(plan_id))
    owner, most = (tenant, KEPT_BYTES) if (tenant := caller().tenant_id) else (PLATFORM_ID, 8 * KEPT_BYTES)
    services().store.put_plan(plan_id, sealed, owner=owner, seconds=KEPT_SECONDS, most_bytes=most)
    return plan_id


def apply_plan(plan_id: str, message: str | None, respond: Respond[Applied]) -> Applied:
    """Write a plan of the caller. Raises 409 if what it was made for has changed, and as `make_plan`."""
    request, base = _kept(plan_id)
    for _ in range(_ATTEMPTS):
        plan = make_plan(request)
        _check_base(base, plan.base)
        with suppress(Conflict):
            return _write(plan, FromFile(request.file_name, message), respond)
    raise Conflict("The configuration is changed too often. Plan again.")


def _write(plan: Plan, file: FromFile, respond: Respond[Applied]) -> Applied:
    tenants = [TenantWrite(one.before, one.after, _edit(one, file)) for one in plan.tenants]
    of_platform = plan.platform and PlatformWrite(
        plan.platform.before, plan.platform.after, _edit(plan.platform, file)
    )
    checked_by = plan.base.get(PLATFORM_ID, 0)
    writes = Together(tenants, of_platform, checked_by)

    def applied(written: Written) -> Applied:
        versions = {
            step.at.rpartition("/")[2]: after.tenant.version
            for step, after in zip(plan.tenants, written.tenants, strict=True)
            if after is not None
        }
        return Applied(
            versions if written.platform is None else {PLATFORM_ID: written.platform.version, **versions},
            plan,
        )

    def respond_written(written: Written) -> Response:
        return respond(applied(written))

    if not plan.steps:
        return Applied({}, plan)
    claim = claim_of(respond_written)
    found = applied(services().store.write_together(writes, claim=claim))
    for step, owner in zip(plan.steps, writes.owners, strict=True):
        log_change(owner, found.versions.get(step.at.rpartition("/")[2], 0), [])
    return found


def _edit(step: Step, file: FromFile) -> Edit:
    states = (step.before, step.after)
    if step.at == f"/{PLATFORM_ID}":
        states = tuple(PlatformContent.of(one) for one in states)  # type: ignore[assignment]
    return edit_of(step.differences, names_of(step.differences, *states), file=file)


def _kept(plan_id: str) -> tuple[Request, Mapping[str, int]]:
    """A plan of the caller. Raises 404."""
    sealed = services().store.plan(plan_id)
    with suppress(ValueError):
        if sealed is not None:
            packed = services().sealer.open(sealed, _context(plan_id))
            text = zlib.decompress(b64decode(packed)).decode(errors="surrogatepass")
            found: Mapping[str, Any] = json.loads(text)
            return Request(**found["request"]), found["base"]
    raise not_found("plan")


def _context(plan_id: str) -> str:
    return f"plan|{plan_id}|{caller().actor}"


def _check_base(planned: Mapping[str, int], now: Mapping[str, int]) -> None:
    """Raise 409 with the names of what has changed since the plan was made."""
    moved = [name for name in {**planned, **now} if planned.get(name) != now.get(name)]
    if moved:
        names = ", ".join(sorted(moved)[:20])
        detail = f"It was changed since the plan was made: {names}. Plan again."
        raise ApiError("conflict", detail)
