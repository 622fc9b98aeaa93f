"""The context of every command: the profile, the client, the output, and the tenant that an option names."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import click

from shared.cli.client import AdminApi
from shared.cli.failures import Exit, Failure
from shared.cli.output import FORMATS, Output
from shared.cli.profiles import load_profile

#: How ids of tenants begin. A subdomain has no underscore.
_TENANT_ID = "tenant_"


@dataclass
class Gw:
    """One call of `gw`. `url` and `token` win over the profile."""

    profile: str
    url: str | None = None
    token: str | None = field(default=None, repr=False)
    out: Output = field(default_factory=Output)

    @cached_property
    def api(self) -> AdminApi:
        """The admin API. Raises `Failure` when there is no such profile.

        A key of a profile is sent to the address of that profile only.
        """
        if self.url is not None:
            return AdminApi(self.url.rstrip("/"), self.token)
        found = load_profile(self.profile)
        return AdminApi(found.url.rstrip("/"), self.token or found.token)

    @cached_property
    def me(self) -> Any:
        """The caller, as the admin API sees it."""
        return self.api.get("/me")

    def tenant(self, named: str | None) -> str:
        """The id of the tenant with this subdomain or id; None names that of the caller's key.

        Raises `Failure` when there is no such tenant, or no name and no tenant's key.
        """
        if named is not None and named.startswith(_TENANT_ID):
            return named
        own = self.me["tenant"]
        if named is None and own is None:
            raise Failure("This command needs a tenant.", "Name it: `--tenant SUBDOMAIN`, or GW_TENANT.")
        if own is not None and named in (None, own["subdomain"]):
            return str(own["id"])
        if own is None:
            for one in self.api.pages("/tenants", "tenants", text=named):
                if one["subdomain"] == named:
                    return str(one["id"])
        raise Failure(f"There is no tenant {named}.", "`gw get tenants` lists them.", code=Exit.NOT_FOUND)

    def owner(self, named: str | None) -> str:
        """The beginning of the path of what a tenant has; of what the platform has, without a tenant."""
        if named is None and self.me["is_platform"]:
            return ""
        return f"/tenants/{self.tenant(named)}"

    def confirm(self, question: str, *, yes: bool) -> None:
        """Ask before a change. Raises `Failure` when the answer is no, or nobody can be asked."""
        if yes:
            return
        if not sys.stdin.isatty():
            raise Failure("Nobody can be asked without a terminal, so nothing was changed.", "Add `--yes`.")
        if not click.confirm(question, err=True):
            raise Failure("Nothing was changed.")


pass_gw = click.make_pass_decorator(Gw)


def set_format(context: click.Context, _: click.Parameter, value: Any) -> None:
    """Keep the format that an option names."""
    if context.obj is not None:
        context.obj.out = Output(value)


output_option = click.option(
    *("-o", "--output"),
    type=click.Choice(FORMATS),
    default="table",
    expose_value=False,
    callback=set_format,
    help="The format of what is printed.",
)
tenant_option = click.option(
    *("-t", "--tenant"),
    envvar="GW_TENANT",
    metavar="SUBDOMAIN",
    help="The tenant, by its subdomain or id. A tenant's key needs no name.",
)
message_option = click.option(
    *("-m", "--message"), help="The reason for the change, for versions and the audit log."
)
yes_option = click.option("--yes", is_flag=True, help="Do not ask.")

type Command = Callable[..., int | None]


def command(name: str) -> Callable[[Command], click.Command]:
    """A command with this name, which gets a `Gw` first and has the option `--output`."""

    def made(function: Command) -> click.Command:
        return click.command(name)(output_option(pass_gw(function)))

    return made
