"""`gw explain`: a dry run of a request, as the proxy would decide it."""

import base64
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from shared.cli.commands.get import find
from shared.cli.context import Gw, command, tenant_option
from shared.cli.failures import Exit, Failure
from shared.secrets.api_keys import MARK

# The prefix of a key has 12 characters, and a secret 61. A secret that was cut off is not a name to look for.
_LONGEST_PREFIX: Final = 20
_JSON: Final = {"Content-Type": "application/json"}
_PASSES: Final = ("forwarded", "responded")


def _read(value: str) -> bytes:
    """The text itself, or the file after `@`; `@-` is standard input. Raises `Failure`."""
    if not value.startswith("@"):
        return value.encode()
    if value == "@-":
        return sys.stdin.buffer.read()
    try:
        return Path(value[1:]).read_bytes()
    except OSError as error:
        raise Failure(f"{value[1:]} cannot be read: {error.strerror}.") from None


@command("explain")
@click.argument("path")
@tenant_option
@click.option("-X", "--method", help="[default: POST with a body, else GET]")
@click.option("-H", "--header", "headers", multiple=True, metavar="NAME: VALUE", help="May be repeated.")
@click.option("-d", "--data", help="The body: a text, @FILE, or @- for standard input.")
@click.option("--key", help="The API key, by its name, prefix, id or secret. Without it, none is sent.")
@click.option("--response", help="The body of the upstream's response, as --data. Its stages are run, too.")
@click.option("--response-status", default=200, show_default=True, help="The status of that response.")
@click.option("--draft", type=click.Path(), help="A YAML file with a rule that is not saved.")
@click.option("--call-outside", is_flag=True, help="Also call external validators.")
def explain(gw: Gw, tenant: str | None, **options: Any) -> Exit:
    """Explain what would happen to a request with this PATH. Nothing is forwarded, no limit is charged.

    Ends with 5 if the gateway would reject it.
    """
    gw_id = gw.tenant(tenant)
    found = gw.api.send("POST", f"/tenants/{gw_id}/explain", _request(gw, tenant, options), timeout=30.0)
    if gw.out.format == "name":
        gw.out.lines([found["outcome"]])
    elif not gw.out.document(found):
        _show(gw, found)
    return Exit.OK if found["outcome"] in _PASSES else Exit.REJECTED


def _request(gw: Gw, tenant: str | None, options: Mapping[str, Any]) -> dict[str, Any]:
    """The body of the call."""
    body = None if options["data"] is None else _read(options["data"])
    headers = dict(_header(one) for one in options["headers"])
    if body is not None and "content-type" not in [name.lower() for name in headers]:
        headers |= _JSON
    sent: dict[str, Any] = {
        "path": options["path"],
        "method": options["method"] or ("GET" if body is None else "POST"),
        "headers": headers,
        "call_outside": options["call_outside"],
    }
    if body is not None:
        sent["body_base64"] = base64.b64encode(body).decode()
    if (key := options["key"]) is not None and key.startswith(MARK) and len(key) > _LONGEST_PREFIX:
        headers["Authorization"] = f"Bearer {key}"
    elif key is not None:
        sent["key_id"] = find(gw, "keys", key, tenant)["id"]
    if options["response"] is not None:
        text = _read(options["response"]).decode(errors="replace")
        sent["response"] = {"status": options["response_status"], "headers": _JSON, "body": text}
    if options["draft"] is not None:
        sent["rule"] = _draft(options["draft"])
    return sent


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon:
        raise click.BadParameter(f"{text} is not NAME: VALUE.", param_hint="-H")
    return name.strip(), value.strip()


def _draft(file: str) -> Any:
    try:
        return YAML(typ="safe", pure=True).load(Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        raise Failure(f"{file} cannot be read: {error.strerror}.") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise Failure(f"{file} is not YAML: {error}") from None


def _show(gw: Gw, found: Mapping[str, Any]) -> None:
    rows: dict[str, Any] = {"outcome": found["outcome"], "rule": _rule(found), "key": found["key_id"]}
    if ai := found["ai"]:
        chosen = [f"{one['provider']}/{one['model']}" for one in ai["targets"] if one["is_chosen"]]
        rows |= {"model": ai["model"] or ai["asked"], "target": chosen}
    if upstream := found["upstream"]:
        rows["upstream"] = f"{upstream['method']} {upstream['url'] or '(of the platform)'}"
    if response := found["response"]:
        rows["response"] = " ".join(
            map(str, (response["status"], response["code"] or "", response["message"] or ""))
        )
    gw.out.record(found, rows)
    plan = [*_plan(found["plan"])]
    if plan:
        gw.out.lines([""])
        gw.out.table(["STAGE", "PLUGIN", "ORIGIN", "VERDICT", "DETAIL"], plan)
    if found["limits"]:
        gw.out.lines([""])
        gw.out.table(
            ["LIMIT", "OF", "WINDOW", "LEFT", "ALLOWS"],
            [
                (one["name"], one["limit"], one["window"], one["before"]["remaining"], one["allows"])
                for one in found["limits"]
            ],
        )
    gw.out.note(*(f"warning: {one['pointer']}: {one['detail']}" for one in found["warnings"]))


def _rule(found: Mapping[str, Any]) -> str:
    """The rule that matches; without one, why each does not."""
    for one in found["rules"]:
        if one["matches"]:
            return f"{one['path']} ({one['id']})"
    return "; ".join(f"not {one['path']}: {one['why_not']}" for one in found["rules"]) or "none"


def _plan(stages: list[Any]) -> Iterator[tuple[Any, ...]]:
    for stage in stages:
        for group in stage["groups"]:
            for plugin in group["plugins"]:
                origins = [entry["origin"] for entry in plugin["entries"]]
                yield stage["stage"], plugin["name"], origins, plugin["verdict"], plugin["detail"]


COMMANDS = (explain,)
