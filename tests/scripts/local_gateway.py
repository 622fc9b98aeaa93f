"""`./scripts/run_local.sh` as its users start it, on free ports and in a folder of its own."""

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.gateway import ROOT, START_LIMIT
from tests.support.ports import free_port
from tests.support.wait import until

PORTS = ("SERVER__ADMIN_PORT", "SERVER__PROXY_PORT", "SERVER__WEB_PORT", "DEMO__PORT")
STOP_LIMIT = 20.0  # seconds until all that was started must have ended


@dataclass
class LocalGateway:
    """One start after the other, with one store. All their processes carry `folder` in their environment."""

    folder: Path
    more: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=lambda: {name: free_port() for name in PORTS})

    def __enter__(self) -> "LocalGateway":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def environment(self) -> dict[str, str]:
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("GATEWAY")},
            **{f"GATEWAY__{name}": str(port) for name, port in self.ports.items()},
            # Nothing listens there, so the embedded store is used whatever runs on this machine.
            "GATEWAY__REDIS__PORT": "1",
            "GATEWAY__DATA_DIR": str(self.folder / "data"),
            **self.more,
        }

    def start(self, *arguments: str) -> "Started":
        """Start the script, and return when it says that all is up or has ended."""
        out = self.folder / "out"
        with out.open("wb") as output:
            process = subprocess.Popen(
                ["./scripts/run_local.sh", *arguments],
                cwd=ROOT,
                env=self.environment(),
                stdout=output,
                stderr=output,
                start_new_session=True,  # as a terminal's foreground job, which Ctrl-C ends as a group
            )
        for _ in until(START_LIMIT):
            if "Ctrl-C stops everything." in out.read_text() or process.poll() is not None:
                return Started(process, out.read_text())
        raise AssertionError(f"It did not come up:\n{out.read_text()}")

    def url(self, part: str) -> str:
        return f"http://localhost:{self.ports[f'SERVER__{part.upper()}_PORT']}"

    def processes(self) -> dict[int, str]:
        """What runs for this gateway: process id -> command."""
        marker = f"GATEWAY__DATA_DIR={self.folder / 'data'}\0".encode()
        found = {}
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if marker in (process / "environ").read_bytes():
                    command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                    found[int(process.name)] = command
            except OSError:
                continue  # it has just ended, or is another user's
        return found

    def left_behind(self) -> dict[int, str]:
        """What still runs when everything had time to end."""
        for _ in until(STOP_LIMIT):
            if not self.processes():
                break
        return self.processes()


@dataclass
class Started:
    """A script that is up, or has ended by itself, and what it has printed."""

    process: subprocess.Popen[bytes]
    output: str

    @property
    def calls(self) -> Sequence[str]:
        """The curl lines."""
        return re.findall(r"^curl .*", self.output, re.MULTILINE)

    @property
    def key(self) -> str:
        """The API key that is shown."""
        return re.findall(r"gwk_\w+", self.output)[0]

    def press_ctrl_c(self) -> int:
        """As a terminal does. Returns the exit code."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(STOP_LIMIT)

    def stop(self, how: signal.Signals) -> int:
        """Send the signal to the script alone. Returns the exit code."""
        self.process.send_signal(how)
        return self.process.wait(STOP_LIMIT)


def run_as_printed(call: str) -> list[str]:
    """The lines that a call prints in a shell."""
    return subprocess.run(["bash", "-c", call], capture_output=True, text=True, timeout=30).stdout.split("\n")
