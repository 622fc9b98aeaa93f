"""`gw get`: lists, and single things, of tenants and of the platform."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import click

from shared.cli.context import Gw, command, tenant_option
from shared.cli.failures import Exit, Failure
from shared.cli.output import Column, visible


def _targets(rule: Mapping[str, Any]) -> Any:
    """The upstream of a rule in a few words."""
    if ai := rule.get("ai"):
        return f"models of {visible(ai.get('providers') or ai.get('models') or 'all providers')}"
    return rule.get("target") or [one.get("url") for one in rule.get("targets") or ()]


def _plugins(rule: Mapping[str, Any]) -> list[str]:
    return [entry["name"] for entry in rule["plugin_chain"]]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of things.

    Attributes:
        member: the member of lists that has them.
        columns: those of the table.
        keys: the members by which one is named; the first one is printed.
        path: below the owner.
        of_platform: whether the platform has such things of its own.
        of_tenants: whether tenants have them.
        also: the member of lists with more of them, which are listed last.
    """

    member: str
    columns: Sequence[Column]
    keys: Sequence[str] = ("name", "id")
    path: str = ""
    of_platform: bool = False
    of_tenants: bool = True
    also: str = ""

    def list(self, gw: Gw, tenant: str | None) -> Iterator[Mapping[str, Any]]:
        """All of them, of the tenant or of the platform."""
        path = f"/{self.path or self.member}"
        if not self.of_tenants:
            owner = ""
        elif self.of_platform:
            owner = gw.owner(tenant)
        else:
            owner = f"/tenants/{gw.tenant(tenant)}"
        yield from gw.api.pages(owner + path, self.member)
        if self.also:
            yield from gw.api.get(owner + path, limit=1)[self.also]

    def show(self, gw: Gw, tenant: str | None) -> None:
        """Print all of them."""
        found = [*self.list(gw, tenant)]
        gw.out.show({self.member: found}, found, self.columns, name=self.keys[0])


def _keys_of(kind: str) -> Callable[[Mapping[str, Any]], Any]:
    return lambda item: [one["name"] for one in item.get(kind) or ()]


def _amount(member: str) -> Callable[[Mapping[str, Any]], Any]:
    """A member of the state of a budget, with its unit."""

    def text(item: Mapping[str, Any]) -> str:
        unit = next(iter(item["limit"]))
        return f"{item['state'][member]} {unit.upper() if unit == 'usd' else unit}"

    return text


# API keys and tokens.
_ISSUED: Final = (
    ("NAME", "name"),
    ("PREFIX", "prefix"),
    ("SCOPES", "scopes"),
    ("STATUS", "status"),
    ("EXPIRES", "expires_at"),
    ("LAST USED", "last_used_at"),
    ("ID", "id"),
)

KINDS: Final[Mapping[str, Kind]] = {
    "tenants": Kind(
        "tenants",
        (
            ("SUBDOMAIN", "subdomain"),
            ("NAME", "name"),
            ("TIER", "tier"),
            ("STATUS", "status"),
            ("ID", "id"),
        ),
        keys=("subdomain", "id"),
        of_tenants=False,
    ),
    "rules": Kind(
        "rules",
        (
            ("NAME", "name"),
            ("PATH", "path"),
            ("METHODS", lambda item: item["methods"] or "all"),
            ("TARGET", _targets),
            ("PLUGINS", _plugins),
            ("ID", "id"),
        ),
        keys=("name", "path", "id"),
    ),
    "keys": Kind(
        "api_keys",
        _ISSUED,
        keys=("name", "prefix", "id"),
        path="api-keys",
    ),
    "tokens": Kind(
        "tokens",
        _ISSUED,
        keys=("name", "prefix", "id"),
        path="platform/tokens",
        of_tenants=False,
    ),
    "providers": Kind(
        "providers",
        (
            ("NAME", "name"),
            ("KIND", "kind"),
            ("ADDRESS", "base_url"),
            ("KEYS", _keys_of("keys")),
            ("ID", "id"),
        ),
        of_platform=True,
    ),
    "models": Kind(
        "models",
        (
            ("NAME", "name"),
            (
                "TARGETS",
                lambda item: [f"{one['provider']}/{one['model']}" for one in item.get("targets") or ()],
            ),
            ("STRATEGY", "strategy"),
        ),
        of_platform=True,
    ),
    "budgets": Kind(
        "budgets",
        (
            ("NAME", "name"),
            ("OWNER", "owner"),
            ("PERIOD", "period"),
            ("USED", _amount("used")),
            ("HELD", _amount("held")),
            ("LIMIT", _amount("limit")),
            ("RESETS AT", lambda item: item["state"]["resets_at"]),
            ("ID", "id"),
        ),
        also="of_tier",
    ),
    "webhooks": Kind(
        "webhooks",
        (
            ("NAME", "name"),
            ("URL", "url"),
            ("EVENTS", "events"),
            ("ACTIVE", "active"),
            ("LAST", lambda item: (item.get("last_delivery") or {}).get("state")),
            ("ID", "id"),
        ),
        of_platform=True,
    ),
    "plugins": Kind(
        "plugins",
        (("NAME", "name"), ("STAGES", "stages"), ("DESCRIPTION", "description")),
        of_tenants=False,
    ),
}


@command("get")
@click.argument("kind", type=click.Choice([*KINDS]))
@click.argument("name", required=False)
@tenant_option
def get(gw: Gw, kind: str, name: str | None, tenant: str | None) -> None:
    """List things of a kind, or show the one with this NAME. Ends with 4 if there is none.

    Without `--tenant`, the platform's key gets those of the platform. A name is that of
    the thing, or its id; for tenants also the subdomain, for rules the path.
    """
    wanted = KINDS[kind]
    if name is None:
        wanted.show(gw, tenant)
        return
    item = find(gw, kind, name, tenant)
    gw.out.whole({**{key: item[key] for key in wanted.keys if key in item}, **item}, name=name)


def find(gw: Gw, kind: str, name: str, tenant: str | None) -> Mapping[str, Any]:
    """The thing with this name or id. Raises `Failure` when there is none, or more than one."""
    wanted = KINDS[kind]
    found = [item for item in wanted.list(gw, tenant) if name in [item.get(key) for key in wanted.keys]]
    if len(found) == 1:
        return found[0]
    if not found:
        hint = f"`gw get {kind}` lists them."
        raise Failure(f"There is no {kind.removesuffix('s')} {name}.", hint, code=Exit.NOT_FOUND)
    ids = ", ".join(str(item["id"]) for item in found)
    raise Failure(f"{len(found)} {kind} are called {name}.", f"Name one by its id: {ids}")


COMMANDS = (get,)
