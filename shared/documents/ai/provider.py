"""Providers as JSON."""

from collections.abc import Iterable
from typing import Any

from marshmallow import Schema, ValidationError, fields, post_load, validate

from shared.core.durations import DAY_SECONDS
from shared.core.fields import HEADER_VALUE, Duration, Timestamp, choice, flag, token, validated
from shared.documents.ai.names import PROVIDER_APIS, api_names
from shared.documents.ai.provider_key import (
    MAX_KEYS,
    PlatformKeyInput,
    ProviderKeyInput,
    ProviderKeyOutput,
)
from shared.documents.ai.provider_model import ProviderModelInput, ProviderModelOutput
from shared.documents.ai.sharing import SharedField
from shared.documents.fields import (
    Input,
    Page,
    Secret,
    Tags,
    Whole,
    nullable,
    read_only,
    slug,
    tags_output,
    warnings_field,
)
from shared.documents.upstream import (
    TimeoutsOutput,
    ca_input,
    headers_input,
    headers_output,
    timeouts_input,
)
from shared.model.providers import Provider, ProviderAuth, Shared
from shared.providers.shipped.presets import Endpoint, Preset, preset_of

_OFF = "off"


def _kind(name: str) -> None:
    validated(preset_of, name)


class AuthInput(Input):
    """The place of the credential in a call."""

    type = choice(
        *("bearer", "header", "query", "none"),
        default="bearer",
        description="bearer: Authorization. header, query: the one that name says. none: no credential.",
    )
    name = fields.String(
        load_default="",
        validate=validate.Length(max=128),
        metadata={"description": "The name of the header or of the query parameter."},
    )

    @post_load
    def _make(self, data: dict[str, Any], **_: Any) -> ProviderAuth:
        needs_name = data["type"] in ("header", "query")
        if needs_name:
            try:
                token("a name")(data["name"])
            except ValidationError as error:
                raise ValidationError({"name": error.messages}) from None
        elif data["name"]:
            raise ValidationError(f"Must be omitted for {data['type']}.", "name")
        return ProviderAuth(type=data["type"], name=data["name"])


class AuthOutput(Schema):
    """The place of the credential in a call."""

    type = fields.String(required=True)
    name = fields.String(required=True)


class Interval(Duration):
    """A duration, or ``off``."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        return None if value == _OFF else super()._deserialize(value, attr, data, **kwargs)

    def _serialize(self, value: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:
        return _OFF if value is None else value


class ProviderInput(Input):
    """A provider of a tenant to create."""

    name = slug(required=True, metadata={"description": "Rules, models and API keys name it. Unique."})
    kind = fields.String(
        required=True,
        validate=[validate.Length(max=63), _kind],
        metadata={"description": "GET /providers/kinds lists them, with their parameters."},
    )
    base_url = fields.String(
        load_default=None,
        allow_none=True,
        validate=validate.Length(min=1, max=2048),
        metadata={"description": "null: that of the kind. {name} stands for a parameter."},
    )
    params = fields.Dict(
        keys=fields.String(),
        values=fields.String(validate=validate.Length(max=63)),
        load_default=dict,
        validate=validate.Length(max=16),
        metadata={"description": "The values of the kind's parameters, such as a region."},
    )
    apis = api_names(PROVIDER_APIS, "The APIs that it speaks itself. null: those of the kind.")
    auth = Whole(
        AuthInput,
        load_default=None,
        allow_none=True,
        metadata={"description": "The place of the credential. null: that of the kind."},
    )
    keys = fields.List(
        Whole(ProviderKeyInput),
        load_default=list,
        validate=validate.Length(max=MAX_KEYS),
        metadata={"description": "Its credentials. PATCH replaces all of them."},
    )
    headers = headers_input("Headers of each call. Values are stored encrypted.")
    query = fields.Dict(
        keys=fields.String(validate=[validate.Length(max=128), token("a name")]),
        values=Secret(fields.String(validate=[HEADER_VALUE]), max_length=2048),
        load_default=dict,
        validate=validate.Length(max=32),
        metadata={"description": "Query parameters of each call. Values are stored encrypted."},
    )
    models = fields.List(
        Whole(ProviderModelInput),
        load_default=list,
        validate=validate.Length(max=1000),
        metadata={"description": "The models that it is known to have."},
    )
    discover = Interval(
        minimum=60,
        maximum=7 * DAY_SECONDS,
        load_default=None,
        allow_none=True,
        description='The time between two look-ups of its list of models, such as "10m", or off.',
    )
    timeouts = timeouts_input("Timeouts of its calls. A rule can only shorten them.")
    ca = ca_input("PEM certificates to trust for it. Only the platform may set it.")
    max_concurrent = fields.Integer(
        strict=True,
        load_default=None,
        allow_none=True,
        validate=validate.Range(1, 100_000),
        metadata={"description": "Calls per worker at a time, of all tenants and models. null: no limit."},
    )
    enabled = flag(True, "false: it is stored but not used.")
    tags = Tags()


class ProviderReplacement(ProviderInput):
    """A provider of a tenant to replace."""

    id = read_only()
    created_at = read_only(format="date-time")
    updated_at = read_only(format="date-time")
    version = read_only("integer")


class ProviderPatch(ProviderReplacement):
    """The fields of a tenant's provider to change."""


class PlatformProviderInput(ProviderInput):
    """A provider of the platform to create."""

    keys = fields.List(
        Whole(PlatformKeyInput),
        load_default=list,
        validate=validate.Length(max=MAX_KEYS),
        metadata={"description": "Its credentials. PATCH replaces all of them."},
    )
    shared = SharedField(load_default=Shared)


class PlatformProviderReplacement(PlatformProviderInput, ProviderReplacement):
    """A provider of the platform to replace."""


class PlatformProviderPatch(PlatformProviderReplacement):
    """The fields of a platform's provider to change."""


class ProviderOutput(Schema):
    """A stored provider."""

    id = fields.String(required=True)
    name = fields.String(required=True)
    kind = fields.String(required=True)
    base_url = fields.String(**nullable())
    params = fields.Dict(keys=fields.String(), values=fields.String(), required=True)
    apis = fields.List(fields.String(), **nullable())
    auth = fields.Nested(AuthOutput, **nullable())
    keys = fields.List(fields.Nested(ProviderKeyOutput), required=True)
    headers = headers_output()
    query = headers_output()
    models = fields.List(fields.Nested(ProviderModelOutput), required=True)
    discover = Interval(minimum=0, maximum=0, description="Seconds, or off.", required=True)
    timeouts = fields.Nested(TimeoutsOutput, required=True)
    ca = fields.String(**nullable())
    max_concurrent = fields.Integer(**nullable())
    enabled = fields.Boolean(required=True)
    tags = tags_output()
    created_at = Timestamp("Time of creation.", required=True)
    updated_at = Timestamp("Time of the last change.", required=True)
    version = fields.Integer(required=True, metadata={"description": "Number of changes."})


class ProviderChanged(ProviderOutput):
    """A changed provider, and warnings about it."""

    warnings = warnings_field()


class PlatformProviderOutput(ProviderOutput):
    """A stored provider of the platform."""

    shared = SharedField(required=True)


class PlatformProviderChanged(PlatformProviderOutput):
    """A changed provider of the platform, and warnings about it."""

    warnings = warnings_field()


class SharedModel(Schema):
    """A model of a provider that the platform shares."""

    id = fields.String(required=True)
    aliases = fields.List(fields.String(), required=True)


class SharedProvider(Schema):
    """The fields that a tenant sees of a provider that the platform shares with it."""

    name = fields.String(required=True)
    kind = fields.String(required=True)
    apis = fields.List(fields.String(), required=True)
    models = fields.List(fields.Nested(SharedModel), required=True)


class ProviderList(Page):
    """One page of a tenant's providers, in order of creation."""

    providers = fields.List(fields.Nested(ProviderOutput), required=True)
    shared = fields.List(
        fields.Nested(SharedProvider),
        required=True,
        metadata={"description": "All providers that the platform shares with the tenant."},
    )


class PlatformProviderList(Page):
    """One page of the platform's providers, in order of creation."""

    providers = fields.List(fields.Nested(PlatformProviderOutput), required=True)


class KindOutput(Schema):
    """A kind of provider."""

    kind = fields.String(required=True)
    title = fields.String(required=True)
    docs = fields.String(required=True, metadata={"description": "Where its API is described."})
    base_url = fields.String(**nullable("null: each provider has its own."))
    auth = fields.Nested(AuthOutput, required=True)
    needs_key = fields.Boolean(required=True)
    apis = fields.List(
        fields.String(), required=True, metadata={"description": "With the default parameters."}
    )
    params_schema = fields.Dict(required=True, metadata={"description": "JSON Schema of params."})


class KindList(Schema):
    """All kinds of providers."""

    kinds = fields.List(fields.Nested(KindOutput), required=True)


#: Made once: to make one takes longer than to use it.
_OUTPUTS = {False: ProviderOutput(), True: PlatformProviderOutput()}


def provider_document(provider: Provider, *, is_platforms: bool) -> dict[str, Any]:
    """The JSON of `provider` for its owner."""
    document: dict[str, Any] = _OUTPUTS[is_platforms].dump(provider)
    return document


def shared_documents(providers: Iterable[Provider]) -> list[dict[str, Any]]:
    """The JSON of the platform's providers for a tenant: no URL, no key, no header."""
    documents: list[dict[str, Any]] = SharedProvider(many=True).dump(
        {
            "name": one.name,
            "kind": one.kind,
            "apis": list(Endpoint.of(one).apis),
            "models": one.models,
        }
        for one in providers
    )
    return documents


def default_apis(preset: Preset) -> Iterable[str]:
    """The APIs of a kind with the defaults of its parameters; empty for one that has none of its own."""
    if not preset.apis:
        return ()
    params = {name: "any" for name, param in preset.params.items() if param.is_required}
    url = None if preset.base_url else "https://any.invalid"
    return Endpoint.of(Provider("", "", preset.kind, base_url=url, params=params)).apis


def kind_document(preset: Preset) -> dict[str, Any]:
    """The JSON of a kind of provider."""
    properties = {
        name: {
            "type": "string",
            **({"enum": list(param.one_of)} if param.one_of else {"pattern": "^[A-Za-z0-9-]{1,63}$"}),
            **({"default": param.default} if param.default is not None else {}),
        }
        for name, param in preset.params.items()
    }
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": properties,
        "required": [name for name, param in preset.params.items() if param.is_required],
        "additionalProperties": False,
    }
    document: dict[str, Any] = KindOutput().dump(
        {
            "kind": preset.kind,
            "title": preset.title,
            "docs": preset.docs,
            "base_url": preset.base_url,
            "auth": preset.auth,
            "needs_key": not preset.optional_key,
            "apis": list(default_apis(preset)),
            "params_schema": schema,
        }
    )
    return document
