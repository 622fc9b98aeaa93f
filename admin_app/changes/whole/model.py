"""A model in a change: checked, and with its warnings."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from admin_app.changes.owners import Holding, name_taken
from admin_app.changes.read_only import split_read_only
from admin_app.changes.snapshot import check_most_targets
from admin_app.http.errors import problem_documents, raise_problems
from shared.core.errors import Problem
from shared.documents.ai.model import model_document
from shared.documents.ai.pool import POOL_MEMBERS, policy_of
from shared.model.providers import Model


def changed_model(before: Holding, stored: Model, sent: Mapping[str, Any]) -> Model:
    """The model with the changes of a body. Raises `Invalid` and `ApiError`."""
    document = partial(model_document, stored, is_platforms=before.snapshot is None)
    values, problems = split_read_only(sent, document)
    values = {name: value for name, value in values.items() if name not in POOL_MEMBERS}
    if "targets" in values:
        values["targets"] = tuple(values["targets"])
    model = replace(stored, **values, policy=policy_of(sent, stored.policy))
    if before.snapshot is not None:
        check_most_targets(before.snapshot.tenant, len(model.targets))
    names = {f"/targets/{i}/provider": one.provider for i, one in enumerate(model.targets)}
    # Stored names stay allowed, so that a model can be changed whose provider is no longer shared.
    unknown = before.unknown_providers(names) if model.targets != stored.targets else []
    rejections = [name_taken(stored, model, before.models)]
    raise_problems(problems, unknown, _repeated(model), rejections=rejections)
    return model


def _repeated(model: Model) -> list[Problem]:
    """A problem for each target that another one equals: its weight is what makes it more likely."""
    seen: set[tuple[str, str]] = set()
    problems = []
    for i, target in enumerate(model.targets):
        if (target.provider, target.model) in seen:
            detail = "Another target is the same model of this provider. Give one of them more weight."
            problems.append(Problem(f"/targets/{i}", detail))
        seen.add((target.provider, target.model))
    return problems


def model_warnings(after: Holding, model: Model) -> list[dict[str, str]]:
    """Warnings about targets whose providers are disabled."""
    usable = after.usable
    return problem_documents(
        Problem(f"/targets/{i}/provider", f"The provider {target.provider} is disabled.")
        for i, target in enumerate(model.targets)
        if target.provider in usable and not usable[target.provider].enabled
    )
