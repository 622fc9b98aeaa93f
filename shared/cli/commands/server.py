"""`gw version`, `gw status` and `gw login`: the gateway that is called, and the key with which."""

import sys
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import click

from shared.cli.client import AdminApi
from shared.cli.context import Gw, command
from shared.cli.failures import Exit, Failure
from shared.cli.profiles import DEFAULT_URL, Profile, save_profile
from shared.core import VERSION
from shared.core.addresses import is_own_name


@command("version")
def version(gw: Gw) -> None:
    """Print the version of this command, and that of the gateway if it responds."""
    try:
        _, found = gw.api.probe("/version")
    except Failure:
        found = {}
    document = {"gw": VERSION, "gateway": found.get("version"), "url": gw.api.url}
    gw.out.record(document, document, name=VERSION)


@command("status")
def status(gw: Gw) -> int:
    """Show whether the gateway is ready, part by part. Ends with 1 if it is not.

    The platform's key also shows the store, the workers of all machines, and what to change.
    """
    code, ready = gw.api.probe("/readyz")
    is_ready = code == HTTPStatus.OK
    found = gw.api.get("/status") if is_ready and gw.me["is_platform"] else None
    document = {"url": gw.api.url, "ready": is_ready, **ready, "platform": found}
    rows: dict[str, Any] = {"gateway": gw.api.url, "ready": is_ready}
    if is_ready:
        rows["caller"] = _caller(gw.me)
    rows |= ready.get("parts", {})
    if found:
        rows |= _platform(found)
    gw.out.record(document, rows, name=ready.get("status", ""))
    if gw.out.is_for_readers and found:
        gw.out.note(*(f"warning: {one['detail']}" for one in found["warnings"]))
    return Exit.OK if is_ready else Exit.ERROR


def _caller(me: Any) -> str:
    if me["is_platform"]:
        return "the platform" if me["actor"] == "platform" else f"the platform, by {me['actor']}"
    return f"{me['actor']} of {me['tenant']['subdomain']} ({', '.join(me['scopes'])})"


def _platform(found: Any) -> dict[str, Any]:
    """The lines about the whole platform."""
    workers, store = found["workers"], found["store"]
    states = ", ".join(f"{count} {state}" for state, count in workers["states"].items() if count)
    return {
        "version": found["version"],
        "workers": f"{workers['total']} ({states})" if states else "0",
        "store address": f"{store['address']} ({store['mode']})",
        "store responds in": f"{store['round_trip_ms']} ms",
        "tenants": store["tenants"],
        "newest change": store["revision"],
    }


@command("login")
@click.option("--url", help=f"The address of the admin API. [default: {DEFAULT_URL}]")
@click.option("--token-stdin", is_flag=True, help="Read the key from standard input, and do not ask.")
def login(gw: Gw, url: str | None, token_stdin: bool) -> None:
    """Save the address of a gateway and a key of it, after both were tried.

    `gw --profile NAME login` saves it under a name. An empty key is for a gateway on this machine that has no
    platform key.
    """
    address = _address(url or gw.url or DEFAULT_URL)
    if token_stdin:
        token = sys.stdin.read().strip()
    else:
        token = click.prompt("Key", default="", hide_input=True, show_default=False, err=True).strip()
    me = AdminApi(address, token or None).get("/me")
    file = save_profile(gw.profile, Profile(address, token or None))
    document = {"profile": gw.profile, "url": address, "caller": me, "file": str(file)}
    if not gw.out.document(document):
        gw.out.lines([f"Logged in to {address} as {_caller(me)}."])
        gw.out.note(f"The key is in {file}, which only you can read.")
    if urlsplit(address).scheme == "http" and token and not is_own_name(urlsplit(address).hostname or ""):
        gw.out.note(f"warning: the key is sent to {address} without encryption. Use https://.")


def _address(text: str) -> str:
    """The address without a path. Raises `Failure`."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise Failure(f"{text} is not an address.", f"An address is like {DEFAULT_URL}.")
    return text.rstrip("/").removesuffix("/ui").removesuffix("/api/v1")


COMMANDS = (version, status, login)
