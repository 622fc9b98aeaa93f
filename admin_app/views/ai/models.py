"""/models and /tenants/{id}/models: the names that clients use, and the models of providers behind them."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from flask import Response
from flask.views import MethodView

from admin_app.auth.access import Access, requires
from admin_app.changes.idempotency import idempotent
from admin_app.changes.owners import Holding, Owner, check_unused, shared_models
from admin_app.changes.snapshot import check_maximum, tier_maximum
from admin_app.changes.whole.model import changed_model, model_warnings
from admin_app.context import services
from admin_app.http.openapi import Blueprint
from admin_app.http.paging import PageQuery, page_of
from admin_app.http.responses import check_match, no_content, response
from shared.documents.ai import examples
from shared.documents.ai.model import (
    ModelChanged,
    ModelInput,
    ModelList,
    ModelOutput,
    ModelPatch,
    ModelReplacement,
    PlatformModelChanged,
    PlatformModelInput,
    PlatformModelList,
    PlatformModelOutput,
    PlatformModelPatch,
    PlatformModelReplacement,
    SharedModelName,
    model_document,
)
from shared.documents.examples import changed, page
from shared.model.providers import Model

blueprint = Blueprint("models", __name__, "Names that clients use for one or several models of providers.")


def _judge(sent: dict[str, Any], tenant_id: str | None = None, model_name: str | None = None) -> None:
    """Check the fields of a body of which others are malformed."""
    before = Owner(tenant_id).read()
    stored = Model("", ()) if model_name is None else before.model(model_name)
    changed_model(before, stored, sent)


@blueprint.route("/models")
class PlatformModels(MethodView):
    @requires(Access.PLATFORM)
    @blueprint.operation("listPlatformModels")
    @blueprint.reads(PageQuery, location="query")
    @blueprint.responses(200, PlatformModelList, example=page("models", examples.PLATFORM_MODEL_READ))
    def get(self, query: dict[str, Any]) -> Response:
        """List the platform's models, in order of creation"""
        return _list(Owner(), query)

    @requires(Access.PLATFORM)
    @idempotent
    @blueprint.operation("createPlatformModel")
    @blueprint.reads(PlatformModelInput, example=examples.PLATFORM_MODEL, judge=_judge)
    @blueprint.responses(201, PlatformModelChanged, example=changed(examples.PLATFORM_MODEL_READ))
    def post(self, sent: dict[str, Any]) -> Response:
        """Create a model of the platform

        `shared` says which tenants may use it. They see its name and description.
        """
        return _create(Owner(), sent)


@blueprint.route("/models/<path:model_name>")
class PlatformModel(MethodView):
    @requires(Access.PLATFORM)
    @blueprint.operation("getPlatformModel")
    @blueprint.responses(200, PlatformModelOutput, example=examples.PLATFORM_MODEL_READ)
    def get(self, model_name: str) -> Response:
        """Read a model of the platform"""
        return _read(Owner(), model_name)

    @requires(Access.PLATFORM)
    @blueprint.operation("replacePlatformModel")
    @blueprint.reads(PlatformModelReplacement, example=examples.PLATFORM_MODEL, judge=_judge)
    @blueprint.responses(200, PlatformModelChanged, example=changed(examples.PLATFORM_MODEL_READ))
    def put(self, sent: dict[str, Any], model_name: str) -> Response:
        """Replace a model of the platform"""
        return _change(Owner(), model_name, sent)

    @requires(Access.PLATFORM)
    @blueprint.operation("updatePlatformModel")
    @blueprint.reads(PlatformModelPatch(partial=True), example={"visible": True}, judge=_judge)
    @blueprint.responses(200, PlatformModelChanged, example=changed(examples.PLATFORM_MODEL_READ))
    def patch(self, sent: dict[str, Any], model_name: str) -> Response:
        """Change some fields of a model of the platform"""
        return _change(Owner(), model_name, sent)

    @requires(Access.PLATFORM)
    @blueprint.operation("deletePlatformModel")
    @blueprint.responses(204, description="The model is deleted.")
    def delete(self, model_name: str) -> Response:
        """Delete a model of the platform

        The status is 409 while tenants name it.
        """
        return _delete(Owner(), model_name)


@blueprint.route("/tenants/<tenant_id>/models")
class Models(MethodView):
    @requires(Access.READ)
    @blueprint.operation("listModels")
    @blueprint.reads(PageQuery, location="query")
    @blueprint.responses(200, ModelList, example=examples.MODEL_LIST)
    def get(self, query: dict[str, Any], tenant_id: str) -> Response:
        """List a tenant's models, and those that the platform shares with it"""
        return _list(Owner(tenant_id), query)

    @requires(Access.ADMIN)
    @idempotent
    @blueprint.operation("createModel")
    @blueprint.reads(ModelInput, example=examples.MODEL, judge=_judge)
    @blueprint.responses(201, ModelChanged, example=changed(examples.MODEL_READ))
    def post(self, sent: dict[str, Any], tenant_id: str) -> Response:
        """Create a model of a tenant"""
        return _create(Owner(tenant_id), sent)


@blueprint.route("/tenants/<tenant_id>/models/<path:model_name>")
class OneModel(MethodView):
    @requires(Access.READ)
    @blueprint.operation("getModel")
    @blueprint.responses(200, ModelOutput, example=examples.MODEL_READ)
    def get(self, tenant_id: str, model_name: str) -> Response:
        """Read a model of a tenant"""
        return _read(Owner(tenant_id), model_name)

    @requires(Access.ADMIN)
    @blueprint.operation("replaceModel")
    @blueprint.reads(ModelReplacement, example=examples.MODEL, judge=_judge)
    @blueprint.responses(200, ModelChanged, example=changed(examples.MODEL_READ))
    def put(self, sent: dict[str, Any], tenant_id: str, model_name: str) -> Response:
        """Replace a model of a tenant"""
        return _change(Owner(tenant_id), model_name, sent)

    @requires(Access.ADMIN)
    @blueprint.operation("updateModel")
    @blueprint.reads(ModelPatch(partial=True), example={"visible": True}, judge=_judge)
    @blueprint.responses(200, ModelChanged, example=changed(examples.MODEL_READ))
    def patch(self, sent: dict[str, Any], tenant_id: str, model_name: str) -> Response:
        """Change some fields of a model of a tenant"""
        return _change(Owner(tenant_id), model_name, sent)

    @requires(Access.ADMIN)
    @blueprint.operation("deleteModel")
    @blueprint.responses(204, description="The model is deleted.")
    def delete(self, tenant_id: str, model_name: str) -> Response:
        """Delete a model of a tenant

        The status is 409 while rules of the tenant name it.
        """
        return _delete(Owner(tenant_id), model_name)


def _document(owner: Owner, model: Model) -> dict[str, Any]:
    return model_document(model, is_platforms=owner.is_platform)


def _list(owner: Owner, query: Mapping[str, Any]) -> Response:
    holding = owner.read()
    items, cursor = page_of(holding.models, query)
    documents = [_document(owner, model) for model in items]
    members = {"models": documents, "count": len(items), "next_cursor": cursor}
    if holding.snapshot is not None:
        shared = shared_models(holding.snapshot.tenant)
        members["shared"] = SharedModelName(many=True).dump(shared)
    return response(members)


def _read(owner: Owner, name: str) -> Response:
    return response(_document(owner, owner.read().model(name)))


def _create(owner: Owner, sent: Mapping[str, Any]) -> Response:
    now = services().clock.now()

    def add(before: Holding) -> Holding:
        if before.snapshot is not None:
            most = tier_maximum(before.snapshot.tenant, "max_models")
            check_maximum("models", len(before.models), most)
        blank = Model(sent["name"], (), created_at=now)
        return before.with_model(replace(changed_model(before, blank, sent), updated_at=now))

    def respond(after: Holding) -> Response:
        model = after.model(sent["name"])
        location = f"{owner.path}/models/{model.name}"
        return response(_document(owner, model), 201, {"warnings": model_warnings(after, model)}, location)

    return respond(owner.change(add, respond))


def _change(owner: Owner, name: str, sent: Mapping[str, Any]) -> Response:
    def change(before: Holding) -> Holding:
        stored = before.model(name)
        check_match(_document(owner, stored))
        model = replace(changed_model(before, stored, sent), updated_at=services().clock.now())
        if model.name != name:
            check_unused(before, model=name)
        return before.with_model(model, name)

    after = owner.change(change)
    model = after.model(sent.get("name", name))
    return response(_document(owner, model), extra={"warnings": model_warnings(after, model)})


def _delete(owner: Owner, name: str) -> Response:
    def remove(before: Holding) -> Holding:
        model = before.model(name)
        check_match(_document(owner, model))
        check_unused(before, model=name)
        return replace(before, models=tuple(one for one in before.models if one is not model))

    owner.change(remove)
    return no_content()
