"""/plan: what a file would change, and the change itself."""

from typing import Any

from flask import Response
from flask.views import MethodView

from admin_app.auth.access import Access, requires
from admin_app.changes.file.apply import KEPT_SECONDS, Applied, apply_plan, keep_plan
from admin_app.changes.file.changes import summary_of
from admin_app.changes.file.plan import make_plan
from admin_app.changes.file.request import Request, chosen
from admin_app.changes.idempotency import idempotent
from admin_app.context import services
from admin_app.http.openapi import Blueprint
from admin_app.http.responses import response
from shared.core.fields import timestamp_text
from shared.documents.api_key import api_key_document
from shared.documents.file.plan import (
    APPLIED,
    PLAN,
    PLAN_INPUT,
    ApplyInput,
    ApplyOutput,
    PlanInput,
    PlanOutput,
)

blueprint = Blueprint("plans", __name__, "Files with the configuration: planned first, and applied then.")
#: The endpoint whose bodies are files, which may be large (`admin.max_plan_body`).
FILES = "plans.Plans"


@blueprint.route("/plan")
class Plans(MethodView):
    @requires(Access.ADMIN)
    @blueprint.operation("planFile")
    @blueprint.reads(PlanInput, example=PLAN_INPUT)
    @blueprint.responses(200, PlanOutput, example=PLAN)
    def post(self, sent: dict[str, Any]) -> Response:
        """Plan what a file changes

        Nothing is changed. Each thing of the file replaces the stored one of its name; omitted members get
        their defaults. An API key plans its own tenant. The plan is kept for an hour.
        """
        request = chosen(Request(**sent))
        plan = make_plan(request)
        changes = plan.changes()
        now = services().clock.now()
        plan_id = keep_plan(request, plan) if changes else None
        return response(
            {
                "plan_id": plan_id,
                "base": plan.base,
                "changes": changes,
                "summary": summary_of(changes),
                "warnings": plan.warnings,
                "expires_at": plan_id and timestamp_text(now + KEPT_SECONDS),
            }
        )


@blueprint.route("/plan/<plan_id>/apply")
class Application(MethodView):
    @requires(Access.ADMIN)
    @idempotent
    @blueprint.operation("applyPlan")
    @blueprint.reads(ApplyInput, example={"message": "The new models of July."})
    @blueprint.responses(200, ApplyOutput, example=APPLIED)
    def post(self, sent: dict[str, Any], plan_id: str) -> Response:
        """Apply a plan

        All of it, or nothing. The status is 409 if what the plan was made for has changed. Only the caller
        who made the plan may apply it. The secrets of new API keys are shown only once.
        """
        return _respond(apply_plan(plan_id, sent["message"], _respond))


def _respond(applied: Applied) -> Response:
    now = services().clock.now()
    keys = [
        {"tenant": subdomain, **api_key_document(key, now), "key": secret, "api_key": secret}
        for subdomain, key, secret in applied.created
    ]
    return response(
        {
            "unchanged": not applied.plan.steps,
            "versions": dict(applied.versions),
            "summary": applied.summary,
            "api_keys": keys,
            "warnings": applied.plan.warnings,
        }
    )
