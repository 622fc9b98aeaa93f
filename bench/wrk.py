"""Load by wrk: so many connections that each send the next request once the last is answered."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.exchange import Call

_SCRIPT = Path(__file__).parent / "load.lua"
_ERRORS = ("connect", "read", "write", "status", "timeout")
_TIMEOUT = 5  # seconds that wrk waits for an answer
_PATIENCE = 20.0  # seconds beyond the duration until wrk itself counts as hung


class LoadFailed(Exception):
    """A load in which not every request got the expected answer, or that could not be run."""


@dataclass(frozen=True, slots=True)
class Load:
    """What came of a load. `rate` is in requests per second, latencies are in seconds."""

    requests: int
    rate: float
    p50: float
    p99: float


def run_wrk(port: int, call: Call, connections: int, seconds: int) -> Load:
    """Load 127.0.0.1:`port` for `seconds`. Raises `LoadFailed` on the first error of any kind."""
    headers = [part for name, value in call.headers.items() for part in ("-H", f"{name}: {value}")]
    command = [
        *("wrk", "-t", "1", "-c", str(connections), "-d", f"{seconds}s", "--timeout", f"{_TIMEOUT}s"),
        *("-s", str(_SCRIPT), *headers, f"http://127.0.0.1:{port}{call.path}"),
        *("--", call.method, call.body.decode()),
    ]
    try:
        ended = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds + _PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        raise LoadFailed("wrk did not end in time") from None
    if ended.returncode:
        raise LoadFailed(
            f"wrk ended with {ended.returncode}: {(ended.stderr or ended.stdout).strip()[-400:]}"
        )
    return parse_output(ended.stdout)


def parse_output(text: str) -> Load:
    """Read the line that `load.lua` prints. Raises `LoadFailed` when it tells of errors or is not there."""
    lines = text.strip().splitlines()
    try:
        counted = json.loads(lines[-1])
    except (IndexError, ValueError):
        raise LoadFailed(f"wrk printed no result: {text.strip()[-400:]!r}") from None
    _check(counted)
    requests, microseconds = counted["requests"], counted["duration"]
    return Load(requests, requests * 1e6 / microseconds, counted["p50"] / 1e6, counted["p99"] / 1e6)


def _check(counted: Mapping[str, Any]) -> None:
    errors = {name: counted[name] for name in _ERRORS if counted[name]}
    if errors:
        told = ", ".join(f"{count} x {name}" for name, count in errors.items())
        raise LoadFailed(f"{told} among {counted['requests']} requests")
    if not counted["requests"]:
        raise LoadFailed("no request was answered")
