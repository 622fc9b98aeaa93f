"""The upstream for loads as a process of its own, so that it takes nothing from the test's."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import requests

from tests.support.gateway import ROOT, RunningGateway, TenantInUse


class LoadUpstream:
    """Runs until the end of the block; with a `certificate` (a PEM file with its key) it speaks TLS."""

    def __init__(self, certificate: Path | None = None) -> None:
        self.scheme = "https" if certificate else "http"
        self._arguments = [str(certificate)] if certificate else []
        self.port = 0

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def url(self) -> str:
        """The target of a rule on ``/v1``."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def __enter__(self) -> "LoadUpstream":
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.reliability.load_upstream", *self._arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout
        self.port = int(self._process.stdout.readline())
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def tenant(self, gateway: RunningGateway, *chain: dict[str, Any]) -> TenantInUse:
        """A tenant whose rule leads here, behind the plugins of `chain`."""
        made = gateway.create_tenant(tier="enterprise")
        made.create_rule("/v1", self.url, plugin_chain=list(chain))
        return made

    def ask(self, what: str) -> int:
        """Its own count of ``open`` streams, or of requests (``count``)."""
        return int(requests.get(f"{self.url}/v1/{what}", timeout=10, verify=False).text)
