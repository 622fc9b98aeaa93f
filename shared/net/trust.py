"""The certificates that upstreams are verified with, in files, as OpenSSL needs them."""

import hashlib
import os
from pathlib import Path

import certifi

from shared.core.process.data_files import whole_file, writing_to


class TrustFiles:
    """Bundles in `folder`: the certificates of certifi, of the operator's `ca_file`, and of a rule."""

    def __init__(self, folder: Path, ca_file: Path | None) -> None:
        self._folder = folder
        parts = [Path(certifi.where()).read_text(encoding="ascii")]
        if ca_file is not None:
            parts.append(ca_file.read_text(encoding="utf-8"))
        self._common = "\n".join(parts)
        self._written: dict[str | None, Path] = {}

    def __call__(self, own: str | None) -> Path:
        """The bundle for a rule whose own CA is `own` (PEM text; None for most rules)."""
        if own not in self._written:
            self._written[own] = self._write(self._common if own is None else f"{self._common}\n{own}")
        return self._written[own]

    def _write(self, text: str) -> Path:
        """The file is named after its content, so several workers can write it at the same time."""
        file = self._folder / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.pem"
        if not os.path.exists(file):  # unlike Path.exists, false in a folder of another user
            with writing_to(self._folder), whole_file(file) as half:
                half.write_text(text, encoding="utf-8")
        return file
