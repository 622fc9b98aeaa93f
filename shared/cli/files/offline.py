"""Checks that need no gateway: what each value may be, and how the plugins of a chain go together.

Names of providers, targets and limits of tiers are known to the gateway only.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from shared.cli.files.merge import Document
from shared.core.errors import Invalid, Problem
from shared.core.json_pointer import escape_step
from shared.documents.file.json_schema import file_schema
from shared.documents.file.loaded import snapshot_of
from shared.documents.file.parse import FileOwner, parse_file
from shared.http.paths import rule_path
from shared.pipeline.check import check_rule, check_tenant
from shared.pipeline.plugin import Plugin
from shared.plugins import load_catalogue
from shared.settings import load_settings

type Catalogue = Mapping[str, type[Plugin]]


def local_catalogue() -> Catalogue:
    """The plugins that the settings of this machine name. Raises `GatewayError`."""
    return load_catalogue(load_settings().plugins.paths)


def schema() -> dict[str, Any]:
    """The JSON Schema of a file, for the plugins of this machine. Raises `GatewayError`."""
    return file_schema(local_catalogue())


def check_offline(document: Document) -> None:
    """Note in `document` what is wrong. Raises `GatewayError` when a plugin cannot be loaded."""
    try:
        parsed = parse_file(document.value)
        catalogue = local_catalogue()
        problems = [
            one
            for name, owner in (parsed.tenants or {}).items()
            for one in _of_tenant(name, owner, catalogue)
        ]
    except Invalid as error:
        problems = list(error.problems)
    for one in problems:
        document.fault(one.pointer, one.detail)


def _of_tenant(name: str, owner: FileOwner, catalogue: Catalogue) -> Iterable[Problem]:
    snapshot = snapshot_of(name, owner, catalogue)
    at = f"/tenants/{escape_step(name)}"
    for one in check_tenant(snapshot.tenant, (), catalogue):
        yield Problem(at + one.pointer, one.detail)
    for rule in snapshot.rules:
        try:
            rule_path(rule.path, rule.match)
        except ValueError as error:
            yield Problem(f"{at}/rules/{escape_step(rule.name)}/path", str(error))
        for one in check_rule(snapshot.tenant, rule, catalogue):
            yield Problem(f"{at}/rules/{escape_step(rule.name)}{one.pointer}", one.detail)
