"""gunicorn's corpus of invalid requests, read from the source package of the version that is installed."""

import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

_ESCAPE = re.compile(rb"\\(?:([rnt0])|x([0-9a-fA-F]{2}))")
_PLAIN = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"0": b"\0"}


def corpus(cache: Path) -> dict[str, bytes]:
    """Each request by its name. Raises RuntimeError, in a sentence, when the package cannot be had."""
    return dict(_requests(_package(cache)))


def _package(cache: Path) -> Path:
    name = f"gunicorn-{version('gunicorn')}.tar.gz"
    if not (cache / name).exists():
        requirement = f"gunicorn=={version('gunicorn')}"
        ask = [sys.executable, "-m", "pip", "download", "--no-binary", ":all:", "--no-deps", requirement]
        done = subprocess.run([*ask, "--dest", str(cache)], capture_output=True, text=True, timeout=120)
        if done.returncode:
            raise RuntimeError(
                f"The source package of {requirement} could not be downloaded with pip, so its corpus of "
                f"invalid requests cannot be tried. pip said: {done.stderr[-500:]}"
            )
    return cache / name


def _requests(package: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(package) as archive:
        for member in archive:
            path = Path(member.name)
            if path.match("tests/requests/invalid/*.http") and (file := archive.extractfile(member)):
                yield path.stem, _decode(file.read())


def _decode(text: bytes) -> bytes:
    """Line breaks of the file are for the eye; those of the request are written as escapes."""

    def byte(escape: re.Match[bytes]) -> bytes:
        return _PLAIN[escape[1]] if escape[1] else bytes([int(escape[2], 16)])

    return _ESCAPE.sub(byte, text.replace(b"\n", b""))
