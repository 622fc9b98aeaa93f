"""Public models as JSON: a name that clients use, and the models of providers behind it."""

from typing import Any

from marshmallow import Schema, fields, post_load, validate

from shared.core.fields import Timestamp, flag, text
from shared.documents.ai.names import model_name, upstream_model
from shared.documents.ai.pool import ModelPoolInput, PoolOutput, pool_members
from shared.documents.ai.sharing import SharedField
from shared.documents.fields import Input, Page, Tags, Whole, read_only, slug, tags_output, warnings_field
from shared.documents.upstream import TimeoutsOutput, timeouts_input
from shared.model.providers import Model, ModelTarget, Shared

#: No tier allows more targets of a model or rule.
MAX_TARGETS = 1000


def weight() -> fields.Integer:
    """The field `weight` of a target."""
    return fields.Integer(
        strict=True,
        load_default=1,
        validate=validate.Range(1, 1000),
        metadata={"description": "Its share of the calls among the targets of its priority."},
    )


def priority() -> fields.Integer:
    """The field `priority` of a target."""
    return fields.Integer(
        strict=True,
        load_default=0,
        validate=validate.Range(0, 100),
        metadata={"description": "Targets with the lowest number are tried first."},
    )


class ModelTargetInput(Input):
    """A model of a provider."""

    provider = slug(
        required=True, metadata={"description": "A provider of the owner, or one that is shared with it."}
    )
    model = upstream_model("The name that the provider knows the model by.", required=True)
    weight = weight()
    priority = priority()
    timeouts = timeouts_input("They can only shorten those of the provider.")

    @post_load
    def _make(self, data: dict[str, Any], **_: Any) -> ModelTarget:
        return ModelTarget(**data)


class ModelInput(ModelPoolInput):
    """A model of a tenant to create."""

    name = model_name(
        required=True, metadata={"description": "The name that clients use. Unique. May contain slashes."}
    )
    targets = fields.List(
        Whole(ModelTargetInput),
        required=True,
        validate=validate.Length(min=1, max=MAX_TARGETS),
        metadata={"description": "The models of providers behind it."},
    )
    visible = flag(True, "false: the list of models does not show it.")
    description = text(1000, "For people.", load_default="", min_length=0)
    tags = Tags()


class ModelReplacement(ModelInput):
    """A model of a tenant to replace."""

    created_at = read_only(format="date-time")
    updated_at = read_only(format="date-time")


class ModelPatch(ModelReplacement):
    """The fields of a tenant's model to change."""


class PlatformModelInput(ModelInput):
    """A model of the platform to create."""

    shared = SharedField(load_default=Shared)


class PlatformModelReplacement(PlatformModelInput, ModelReplacement):
    """A model of the platform to replace."""


class PlatformModelPatch(PlatformModelReplacement):
    """The fields of a platform's model to change."""


class ModelTargetOutput(Schema):
    """A model of a provider."""

    provider = fields.String(required=True)
    model = fields.String(required=True)
    weight = fields.Integer(required=True)
    priority = fields.Integer(required=True)
    timeouts = fields.Nested(TimeoutsOutput, required=True)


class ModelOutput(PoolOutput):
    """A stored model."""

    name = fields.String(required=True)
    targets = fields.List(fields.Nested(ModelTargetOutput), required=True)
    visible = fields.Boolean(required=True)
    description = fields.String(required=True)
    tags = tags_output()
    created_at = Timestamp("Time of creation.", required=True)
    updated_at = Timestamp("Time of the last change.", required=True)


class ModelChanged(ModelOutput):
    """A changed model, and warnings about it."""

    warnings = warnings_field()


class PlatformModelOutput(ModelOutput):
    """A stored model of the platform."""

    shared = SharedField(required=True)


class PlatformModelChanged(PlatformModelOutput):
    """A changed model of the platform, and warnings about it."""

    warnings = warnings_field()


class SharedModelName(Schema):
    """The fields that a tenant sees of a model that the platform shares with it."""

    name = fields.String(required=True)
    description = fields.String(required=True)


class ModelList(Page):
    """One page of a tenant's models, in order of creation."""

    models = fields.List(fields.Nested(ModelOutput), required=True)
    shared = fields.List(
        fields.Nested(SharedModelName),
        required=True,
        metadata={"description": "All models that the platform shares with the tenant."},
    )


class PlatformModelList(Page):
    """One page of the platform's models, in order of creation."""

    models = fields.List(fields.Nested(PlatformModelOutput), required=True)


#: Made once: to make one takes longer than to use it.
_OUTPUTS = {False: ModelOutput(), True: PlatformModelOutput()}


def model_document(model: Model, *, is_platforms: bool) -> dict[str, Any]:
    """The JSON of `model` for its owner."""
    members = {name: getattr(model, name) for name in _OUTPUTS[False].fields if hasattr(model, name)}
    shown: dict[str, Any] = _OUTPUTS[is_platforms].dump(
        {**members, "shared": model.shared, **pool_members(model.policy)}
    )
    return shown
