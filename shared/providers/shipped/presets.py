"""The kinds of providers, from `presets.yaml`, and where the calls of one provider go."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from ruamel.yaml import YAML

from shared.core.empty import EMPTY
from shared.core.errors import did_you_mean
from shared.core.globs import matches_glob
from shared.model.providers import Provider, ProviderAuth
from shared.model.targets import Target, parse_target

#: The kind without a preset: base_url and apis are the provider's own.
CUSTOM = "custom"

# A value that becomes a part of a URL: it cannot lead to another host or path.
_PART = re.compile(r"[A-Za-z0-9-]{1,63}")
_NAME = re.compile(r"\{(\w+)\}")
#: In the path of a call, the place of the model's name.
MODEL = "{model}"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a kind of provider.

    Attributes:
        default: None: a provider must have a value, unless it goes to a header.
        one_of: the allowed values; empty: letters, digits and hyphens.
        header: the header that has the value.
    """

    name: str
    _: KW_ONLY
    default: str | None = None
    one_of: tuple[str, ...] = ()
    header: str | None = None

    @property
    def is_required(self) -> bool:
        return self.default is None and self.header is None

    def check(self, value: str) -> None:
        """Raise ValueError when `value` is not allowed."""
        if self.one_of and value not in self.one_of:
            raise ValueError(f"{self.name} must be one of {', '.join(self.one_of)}.")
        if not _PART.fullmatch(value):
            raise ValueError(f"{self.name} must have 1 to 63 letters, digits or hyphens.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """Members of a preset that apply when the parameters match globs."""

    when: Mapping[str, str]
    base_url: str | None = None
    apis: Mapping[str, str] | None = None
    query: Mapping[str, str] | None = None
    models: str | None = None


@dataclass(frozen=True, slots=True)
class Preset:
    """A kind of provider. The members are described in `presets.yaml`."""

    kind: str
    _: KW_ONLY
    title: str
    docs: str
    base_url: str | None = None
    local: bool = False
    auth: ProviderAuth
    optional_key: bool = False
    params: Mapping[str, Parameter] = field(default_factory=dict)
    apis: Mapping[str, str]
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    models: str | None = None
    variants: tuple[Variant, ...] = ()

    @classmethod
    def parse(cls, kind: str, row: Mapping[str, Any]) -> Self:
        """A row of the file. Raises TypeError or ValueError on a wrong one."""
        params = {
            name: Parameter(name, **{**one, "one_of": tuple(one.get("one_of", ()))})
            for name, one in row.get("params", {}).items()
        }
        variants = tuple(Variant(**variant) for variant in row.get("variants", ()))
        return cls(kind, **{**row, "auth": _auth(row["auth"]), "params": params, "variants": variants})

    def values(self, given: Mapping[str, str]) -> dict[str, str]:
        """The parameters of a provider with their defaults. Raises ValueError on a wrong one."""
        for name, value in given.items():
            if name not in self.params:
                hint = did_you_mean(name, self.params)
                raise ValueError(
                    f"{self.kind} has no parameter {name}. Allowed: {', '.join(self.params) or 'none'}.{hint}"
                )
            self.params[name].check(value)
        for name, param in self.params.items():
            if param.is_required and name not in given:
                raise ValueError(f"{self.kind} needs the parameter {name}.")
        defaults = {name: param.default for name, param in self.params.items() if param.default is not None}
        return {**defaults, **given}


def _auth(text: str) -> ProviderAuth:
    kind, _, name = text.partition(" ")
    return ProviderAuth(type=kind, name=name)


@cache
def presets() -> Mapping[str, Preset]:
    """All kinds of providers, by name."""
    text = (Path(__file__).parent / "presets.yaml").read_text(encoding="utf-8")
    rows = YAML(typ="safe").load(text)
    return {kind: Preset.parse(kind, row) for kind, row in rows.items()}


def preset_of(kind: str) -> Preset:
    """The preset of a kind. Raises ValueError when there is none."""
    found = presets().get(kind)
    if found is None:
        raise ValueError(f"Must be one of: {', '.join(presets())}.{did_you_mean(kind, presets())}")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where the calls of a provider go.

    Attributes:
        base: the URL before the paths of the APIs.
        apis: by the name of an API that the provider speaks, the part of the path before the API's own.
        auth: the place of the credential.
        needs_key: whether it cannot be called without a credential.
        query: parameters of each call.
        headers: headers of each call that does not have them.
        own: headers of each call, whatever the client sent.
        models: the path of the list of models; None: it has none.
    """

    base: Target
    apis: Mapping[str, str]
    auth: ProviderAuth
    needs_key: bool
    query: Mapping[str, str] = EMPTY
    headers: Mapping[str, str] = EMPTY
    own: Mapping[str, str] = EMPTY
    models: str | None = None

    @classmethod
    def of(cls, provider: Provider) -> Self:
        """Apply the preset to a provider. Raises ValueError that names the wrong member."""
        preset = preset_of(provider.kind)
        values = preset.values(provider.params)
        variant = next((one for one in preset.variants if _applies(one, values)), Variant(when={}))
        base = provider.base_url or variant.base_url or preset.base_url
        if base is None:
            raise ValueError(f"{provider.kind} needs base_url.")
        apis = preset.apis if variant.apis is None else variant.apis
        return cls(
            base=parse_target(_filled(base, values)),
            apis=_spoken(apis, provider.apis, provider.kind),
            auth=provider.auth or preset.auth,
            needs_key=not preset.optional_key,
            query={
                name: _filled(text, values)
                for name, text in (preset.query if variant.query is None else variant.query).items()
            },
            headers=preset.headers,
            own={
                param.header: values[name]
                for name, param in preset.params.items()
                if param.header is not None and name in values
            },
            models=variant.models or preset.models,
        )

    def path(self, api: str, call: str, model: str) -> str:
        """The path of a call: `call` is the API's own path, such as ``/chat/completions``."""
        before = self.apis[api].replace(MODEL, quote(model, safe=""))
        return self.base.path.rstrip("/") + before + call


def _applies(variant: Variant, values: Mapping[str, str]) -> bool:
    """Whether the parameters match: ``?*`` is any text but the empty one."""
    return all(
        bool(values.get(name)) if glob == "?*" else matches_glob(glob, values.get(name, ""))
        for name, glob in variant.when.items()
    )


def _filled(text: str, values: Mapping[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        if found[1] not in values:
            raise ValueError(f"base_url has {found[0]}, which is not a parameter of this kind.")
        return values[found[1]]

    return _NAME.sub(value, text)


def _spoken(known: Mapping[str, str], own: Iterable[str] | None, kind: str) -> Mapping[str, str]:
    """The APIs of a provider: those of its kind, or a choice of them; a custom one has its own."""
    if own is None:
        if not known:
            raise ValueError(f"{kind} needs apis.")
        return known
    return {api: known.get(api, "") for api in own}
