"""A provider in a change: complete, checked, and with its secrets sealed for its owner and its origin."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from admin_app.auth.field_access import PROVIDER_FIELDS, check_fields
from admin_app.changes.check_targets import CheckedTargets, check_urls
from admin_app.changes.owners import Holding, Owner, name_taken
from admin_app.changes.read_only import split_read_only
from admin_app.changes.secrets import (
    NO_STORED_VALUE,
    OTHER_ORIGIN,
    keep_values,
    outside_problems,
    outside_warnings,
    seal,
)
from admin_app.context import new_id, services
from admin_app.http.errors import raise_problems
from shared.core.errors import Problem
from shared.documents.ai.provider import provider_document
from shared.documents.ai.provider_key import ProviderKeyOutput, Reference, hint_of
from shared.documents.fields import KEEP
from shared.model.providers import MIN_TENANT_DISCOVER, Provider, ProviderKey
from shared.model.sealed import Sealed
from shared.model.targets import Target, parse_target
from shared.providers.shipped.presets import CUSTOM, Endpoint, preset_of
from shared.secrets.context import provider_header_context, provider_key_context, provider_query_context

_KEY_READ_ONLY = ("expires_at", "created_at")
_TARGET_FIELDS = ("kind", "base_url", "params")


class CheckedProvider(NamedTuple):
    """Where the calls of a changed provider will go; None when that is wrong, as `targets` tells."""

    base: Target | None
    targets: CheckedTargets


def check_base(stored: Provider | None, sent: Mapping[str, Any]) -> CheckedProvider:
    """Check the address that a provider would have. It is resolved, so this happens before the change."""
    draft = stored or Provider("", "", "")
    draft = replace(draft, **{name: sent[name] for name in (*_TARGET_FIELDS, "apis") if name in sent})
    problems = _endpoint_problems(draft)
    if problems:
        return CheckedProvider(None, _plain_base(draft, problems))
    base = Endpoint.of(draft).base
    if not any(name in sent for name in _TARGET_FIELDS):
        return CheckedProvider(base, CheckedTargets())
    return CheckedProvider(base, check_urls({"/base_url": f"{base.scheme}://{base.authority}{base.path}"}))


def _plain_base(draft: Provider, problems: list[Problem]) -> CheckedTargets:
    """The `problems` of the members that make the URL, and those of a base_url that needs no other member."""
    url = draft.base_url or ""
    if not url or "{" in url or any(problem.pointer == "/base_url" for problem in problems):
        return CheckedTargets(problems)
    try:
        parse_target(url)
    except ValueError as error:
        return CheckedTargets([*problems, Problem("/base_url", str(error))])
    return CheckedTargets([*problems, *check_urls({"/base_url": url}).problems])


def changed_provider(
    owner: Owner, before: Holding, stored: Provider, sent: Mapping[str, Any], checked: CheckedProvider
) -> Provider:
    """The provider with the changes of a body, complete and sealed. Raises `Invalid` and `ApiError`.

    `stored` is the one to change, or a new one with its id.
    """
    is_new = all(one.id != stored.id for one in before.providers)
    document = partial(provider_document, stored, is_platforms=owner.is_platform)
    values, problems = split_read_only(sent, document)
    moved_from = None if is_new else _moved_from(stored, checked)
    for name, has_case in (("headers", False), ("query", True)):
        secrets: Mapping[str, Sealed] = getattr(stored, name)
        # A PATCH without them keeps them all, which is rejected for another origin.
        wanted = sent.get(name, dict.fromkeys(secrets, KEEP))
        values[name], found = keep_values(
            wanted, secrets, f"/{name}", moved_from=moved_from, has_case=has_case
        )
        problems += found
    keys = sent.get("keys", [{"id": one.id, "secret": KEEP, **key_settings(one)} for one in stored.keys])
    values["keys"], found = _keep_keys(keys, stored, moved_from)
    problems += [*found, *_reference_problems(values["keys"])]
    values |= {name: tuple(sent[name]) for name in ("apis", "models") if sent.get(name) is not None}
    provider = replace(stored, **values)
    rejections = (
        check_fields(PROVIDER_FIELDS, stored, provider),
        name_taken(stored, provider, before.providers),
    )
    own = [*_interval_problems(owner, provider), *_model_problems(provider)]
    if checked.base is not None:
        own += _api_problems(provider)
    raise_problems(problems, checked.targets.problems, own, rejections=rejections)
    return provider if checked.base is None else _sealed(owner, provider, checked.base.origin)


def provider_warnings(provider: Provider, targets: CheckedTargets) -> list[Problem]:
    """A warning for each thing that may not work as intended."""
    warnings = list(targets.warnings)
    if Endpoint.of(provider).needs_key and not any(key.enabled for key in provider.keys):
        detail = "It has no enabled key, so calls of its models are rejected. Add one with POST …/keys."
        warnings.append(Problem("/keys", detail))
    for i, key in enumerate(provider.keys):
        warnings += outside_warnings(f"/keys/{i}/secret", key.env, key.file)
    return warnings


def added_key(owner: Owner, provider: Provider, key_id: str, sent: Mapping[str, Any]) -> Provider:
    """The provider with one more key, sealed. Raises `Invalid`."""
    if sent["secret"] is KEEP:
        raise_problems([Problem("/secret", NO_STORED_VALUE)])
    values = _key_values(sent)
    key = ProviderKey(id=key_id, created_at=services().clock.now(), **values)
    found = _reference_problems([key])
    raise_problems([replace(problem, pointer="/secret") for problem in found], _endpoint_problems(provider))
    return _sealed(owner, replace(provider, keys=(*provider.keys, key)), Endpoint.of(provider).base.origin)


def _key_values(sent: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a key as they were sent; its secret is not sealed yet."""
    secret = sent["secret"]
    where = {"env": secret.env, "file": secret.file} if isinstance(secret, Reference) else {"secret": secret}
    settings = {name: sent[name] for name in ("name", "weight", "models", "enabled") if name in sent}
    if settings.get("models") is not None:
        settings["models"] = tuple(dict.fromkeys(settings["models"]))
    return {**settings, "env": None, "file": None, "secret": None, **where}


def key_settings(key: ProviderKey) -> dict[str, Any]:
    """The settings of a key, as a body has them."""
    return {"name": key.name, "weight": key.weight, "models": key.models, "enabled": key.enabled}


def _keep_keys(
    sent: Sequence[Mapping[str, Any]], stored: Provider, moved_from: str | None
) -> tuple[tuple[Any, ...], list[Problem]]:
    """The keys with the stored secrets in place of `KEEP`, and their problems."""
    keys: list[Any] = []
    problems: list[Problem] = []
    for i, one in enumerate(sent):
        pointer = f"/keys/{i}"
        known, found = _stored_key(one, stored, pointer)
        problems += found
        if known is not None and any(known.id == other.id for other in keys):
            problems.append(Problem(f"{pointer}/id", "Another item has this id. Omit it for a new key."))
            continue
        problems += _read_only_problems(one, known, pointer)
        key = _with_settings(one, known)
        if one["secret"] is KEEP and known is None:
            problems += [] if found else [Problem(f"{pointer}/secret", NO_STORED_VALUE)]
        elif one["secret"] is KEEP and moved_from is not None and key.secret is not None:
            problems.append(Problem(f"{pointer}/secret", OTHER_ORIGIN.format(origin=moved_from)))
        keys.append(key)
    return tuple(keys), problems


def _stored_key(
    sent: Mapping[str, Any], stored: Provider, pointer: str
) -> tuple[ProviderKey | None, list[Problem]]:
    """The stored key that an item means: by its id, else by its name if that is unique."""
    if sent.get("id") is not None:
        known = next((key for key in stored.keys if key.id == sent["id"]), None)
        problem = Problem(f"{pointer}/id", "There is no key with this id. Omit it for a new key.")
        return known, [] if known else [problem]
    named = [key for key in stored.keys if sent.get("name") and key.name == sent["name"]]
    return (named[0] if len(named) == 1 and sent["secret"] is KEEP else None), []


def _read_only_problems(sent: Mapping[str, Any], known: ProviderKey | None, pointer: str) -> list[Problem]:
    def stored_document() -> Mapping[str, Any]:
        return ProviderKeyOutput().dump(known) if known else dict.fromkeys(_KEY_READ_ONLY)

    return split_read_only(sent, stored_document, _KEY_READ_ONLY, pointer)[1]


def _with_settings(sent: Mapping[str, Any], known: ProviderKey | None) -> ProviderKey:
    values = _key_values(sent)
    if known is None:
        return ProviderKey(id=new_id("pk"), created_at=services().clock.now(), **values)
    if values["secret"] is KEEP:
        values = {name: values[name] for name in ("name", "weight", "models", "enabled")}
    else:
        values["hint"] = None
    return replace(known, **values)


def _reference_problems(keys: Sequence[ProviderKey]) -> list[Problem]:
    """Problems of variables and files that the operator has not opened."""
    return [
        problem
        for i, key in enumerate(keys)
        for problem in outside_problems(f"/keys/{i}/secret", key.env, key.file)
    ]


def _endpoint_problems(provider: Provider) -> list[Problem]:
    """The problems of the members that make the URL."""
    try:
        preset = preset_of(provider.kind)
    except ValueError as error:
        return [Problem("/kind", str(error))]
    try:
        preset.values(provider.params)
    except ValueError as error:
        return [Problem("/params", str(error))]
    try:
        Endpoint.of(replace(provider, apis=provider.apis or ("any",)))
    except ValueError as error:
        return [Problem("/base_url", str(error))]
    try:
        Endpoint.of(provider)
    except ValueError as error:
        return [Problem("/apis", str(error))]
    return []


def _interval_problems(owner: Owner, provider: Provider) -> list[Problem]:
    is_often = provider.discover is not None and provider.discover < MIN_TENANT_DISCOVER
    if is_often and not owner.is_platform:
        return [Problem("/discover", "A tenant's interval must be at least 10m.")]
    return []


def _api_problems(provider: Provider) -> list[Problem]:
    problems = []
    preset = preset_of(provider.kind)
    known = set(Endpoint.of(replace(provider, apis=None)).apis) if preset.apis else set()
    if provider.apis is not None and not (preset.local or provider.kind == CUSTOM):
        for i, api in enumerate(provider.apis):
            if api not in known:
                detail = (
                    f"{provider.kind} speaks {', '.join(sorted(known))}. For others, use the kind {CUSTOM}."
                )
                problems.append(Problem(f"/apis/{i}", detail))
    return problems


def _model_problems(provider: Provider) -> list[Problem]:
    problems = []
    names: set[str] = set()
    for i, model in enumerate(provider.models):
        for name in (model.id, *model.aliases):
            if name in names:
                problems.append(Problem(f"/models/{i}", f"Another model has the name {name}."))
            names.add(name)
    return problems


def _moved_from(stored: Provider, checked: CheckedProvider) -> str | None:
    """The origin that the stored secrets are for, when it is not the new one."""
    if _endpoint_problems(stored):
        return "an address that is no longer valid"
    origin = Endpoint.of(stored).base.origin
    return origin if checked.base is not None and checked.base.origin != origin else None


def _sealed(owner: Owner, provider: Provider, origin: str) -> Provider:
    """The provider with every new secret sealed."""
    ids = (owner.name, provider.id)
    return replace(
        provider,
        keys=tuple(_sealed_key(key, provider_key_context(*ids, key.id, origin)) for key in provider.keys),
        headers={
            name: seal(value, provider_header_context(*ids, name, origin))
            for name, value in provider.headers.items()
        },
        query={
            name: seal(value, provider_query_context(*ids, name, origin))
            for name, value in provider.query.items()
        },
    )


def _sealed_key(key: ProviderKey, context: str) -> ProviderKey:
    secret: Any = key.secret
    if secret is None or isinstance(secret, Sealed):
        return key
    return replace(key, secret=seal(secret, context), hint=hint_of(secret))
