"""`gw doctor`: what the gateway finds, and what only the caller's machine can tell."""

from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import urlsplit

from shared.cli.context import Gw, command
from shared.cli.failures import Exit, Failure
from shared.core.addresses import is_own_name

#: The largest good offset between the clocks of this machine and of the gateway, in seconds.
MAX_OFFSET: Final = 2.0
_SIGNS: Final = {"ok": "ok", "warning": "WARN", "error": "FAIL"}


@command("doctor")
def doctor(gw: Gw) -> Exit:
    """Check the deployment, and say what to change: one line and one fix per finding.

    The gateway checks its settings, Redis, workers, disk, files, DNS and providers; this machine its way to
    the gateway and its clock. Ends with 1 if something does not work.
    """
    findings = [*_of_this_machine(gw)]
    if findings[0]["level"] == "ok":
        with gw.out.working("Checking …"):
            findings += gw.api.get_slowly("/doctor")["findings"]
    if gw.out.format == "name":
        gw.out.lines(one["check"] for one in findings if one["level"] != "ok")
    elif not gw.out.document({"findings": findings}):
        gw.out.table([], ([_SIGNS[one["level"]], one["check"], _line(one)] for one in findings))
    return Exit.ERROR if any(one["level"] == "error" for one in findings) else Exit.OK


def _line(finding: Any) -> str:
    return " ".join(filter(None, (finding["detail"], finding["fix"])))


def _finding(check: str, level: str, detail: str, fix: str | None = None) -> dict[str, Any]:
    return {"check": check, "level": level, "detail": detail, "fix": fix}


def _of_this_machine(gw: Gw) -> Iterator[dict[str, Any]]:
    try:
        date = gw.api.date()
    except Failure as failure:
        yield _finding("gateway", "error", str(failure), failure.hint)
        return
    yield _finding("gateway", "ok", f"{gw.api.url} responds.")
    address = urlsplit(gw.api.url)
    if gw.api.token and address.scheme == "http" and not is_own_name(address.hostname or ""):
        fix = "Put a proxy with TLS before the admin API, and use https://."
        yield _finding("connection", "warning", "The key is sent to the gateway without encryption.", fix)
    try:
        there = parsedate_to_datetime(date).replace(tzinfo=UTC)
    except ValueError:
        return
    offset = abs((datetime.now(UTC) - there).total_seconds())
    detail = f"It differs by {offset:.0f} s from that of the gateway."
    if offset > MAX_OFFSET:
        yield _finding("own clock", "warning", detail, "Synchronize the clocks of both machines, by NTP.")
    else:
        yield _finding("own clock", "ok", detail)


COMMANDS = (doctor,)
