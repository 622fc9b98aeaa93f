"""Commands that run programs of this machine: a local gateway, and what needs its store and its secrets."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import click

from shared.cli.context import Gw, command, output_option, pass_gw, tenant_option
from shared.cli.failures import Exit, Failure
from shared.core.process.data_files import LOCAL, check_writable, lock_file
from shared.settings import Settings, load_settings
from shared.settings.probe import admin_url, proxy_url, trouble

_ROOT: Final = Path(__file__).parents[3]
_SCRIPT: Final = "./scripts/run_local.sh"
# The packages may have to be downloaded first.
_START_SECONDS: Final = 300.0
_STOP_SECONDS: Final = 30.0
_PAUSE_SECONDS: Final = 0.1
_LAST_LINES: Final = 15


def run_module(gw: Gw, module: str, *arguments: str) -> Exit:
    """Run a module of the gateway, and print what it prints. Its exit code is one of `Exit`."""
    ended = subprocess.run(  # noqa: S603 -- our own module
        [sys.executable, "-m", module, *arguments], cwd=_ROOT, stdout=subprocess.PIPE, text=True, check=False
    )
    lines = ended.stdout.splitlines()
    if not gw.out.document({"ok": ended.returncode == 0, "lines": lines}):
        gw.out.lines(lines)
    return Exit(ended.returncode) if ended.returncode in Exit else Exit.ERROR


@command("up")
@click.option("--demo", is_flag=True, help="Create a demo tenant if the store is empty.")
def up(gw: Gw, demo: bool) -> None:
    """Start a gateway on this machine in the background, as run_local.sh does, and wait until it is ready."""
    settings = load_settings()
    check_writable(settings.data_dir)
    log = settings.data_dir / "local.log"
    if running(settings) is not None:
        raise Failure(
            f"A gateway with the data in {settings.data_dir} runs already.", "End it with `gw down`."
        )
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 -- our own script
            [_SCRIPT, *([] if demo else ["--no-demo"])],
            cwd=_ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    gw.out.note(f"The log is {log}.")
    with gw.out.working("Starting …"):
        _await_ready(process, settings, log)
    document = {
        "pid": process.pid,
        "admin": admin_url(settings),
        "proxy": proxy_url(settings),
        "log": str(log),
    }
    gw.out.record(document, document, name=document["admin"])  # type: ignore[arg-type]


def _await_ready(process: subprocess.Popen[bytes], settings: Settings, log: Path) -> None:
    """Return when both programs are ready. Raises `Failure`, and ends what was started."""
    for _ in range(int(_START_SECONDS / _PAUSE_SECONDS)):
        if process.poll() is not None:
            lines = log.read_text(errors="replace").splitlines()[-_LAST_LINES:]
            raise Failure("\n".join(["The gateway did not start:", *lines]))
        # The lock says that what responds is the gateway that was started here.
        if running(settings) and not (trouble("admin", settings) or trouble("proxy", settings)):
            return
        time.sleep(_PAUSE_SECONDS)
    process.terminate()
    raise Failure(f"The gateway was not ready within {_START_SECONDS:g} s.", f"Read its log, {log}.")


@command("down")
def down(gw: Gw) -> None:
    """End the gateway that `gw up` or run_local.sh has started on this machine. Its data stay."""
    settings = load_settings()
    pid = running(settings)
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
        _await_end(settings, pid)
    if not gw.out.document({"ended": pid}):
        gw.out.lines(
            ["The gateway has ended." if pid else f"No gateway with the data in {settings.data_dir} runs."]
        )


def _await_end(settings: Settings, pid: int) -> None:
    for _ in range(int(_STOP_SECONDS / _PAUSE_SECONDS)):
        if running(settings) is None:
            return
        time.sleep(_PAUSE_SECONDS)
    raise Failure(f"The process {pid} did not end within {_STOP_SECONDS:g} s.", f"Run: kill -9 {pid}")


def running(settings: Settings) -> int | None:
    """The process of the gateway that run_local.sh has started with these settings; None without one."""
    file = settings.data_dir / LOCAL
    try:
        lock = lock_file(file) if file.exists() else -1
        if lock is None:
            return int(file.read_text())
    except (OSError, ValueError):
        return None
    if lock >= 0:
        os.close(lock)
    return None


@command("accept-store")
@click.option("--secrets", is_flag=True, help="Give up the API keys and secrets that need other files.")
def accept_store(gw: Gw, secrets: bool) -> Exit:
    """Make the present store the true one, after the one that was served last is gone for good.

    Until then the gateway rejects changes. It runs on a machine of the gateway only.
    """
    return run_module(gw, "shared.redis_server", "accept", *(["--secrets"] if secrets else []))


@command("rotate-secrets")
def rotate_secrets(gw: Gw) -> Exit:
    """Seal all stored secrets with the first key of security.key_file, while the gateway serves.

    Ends with 1 if something is left. It runs on a machine of the gateway only.
    """
    return run_module(gw, "shared.redis_server", "rotate-secrets")


@click.group("ledger")
def ledger() -> None:
    """Check the ledger of what calls of models cost, and repair budgets by it."""


@ledger.command("check")
@tenant_option
@output_option
@pass_gw
def check(gw: Gw, tenant: str | None) -> Exit:
    """Compare the ledger with the sums made of it, and with budgets. Ends with 2 if they differ.

    Without `--tenant`, those of all tenants. It reads the store, so it runs on a machine of the gateway only.
    """
    return _of_ledger(gw, "check", tenant)


@ledger.command("repair")
@tenant_option
@output_option
@pass_gw
def repair(gw: Gw, tenant: str | None) -> Exit:
    """Make each budget in which `gw ledger check` finds a difference what its rows and leases give.

    Without `--tenant`, those of all tenants. Requests go on meanwhile. The sum of a budget stays if older
    rows are missing. Ends with 1 if something is left. It changes the store, so it runs on a machine of the
    gateway only.
    """
    return _of_ledger(gw, "repair", tenant)


def _of_ledger(gw: Gw, name: str, tenant: str | None) -> Exit:
    return run_module(gw, "shared.usage", name, *(["--tenant", tenant] if tenant else []))


COMMANDS = (up, down, accept_store, rotate_secrets, ledger)
