"""The pepper and the encryption keys, in files that only their owner can read.

A file holds one secret of 32 bytes a line, in base64. Of encryption keys the first line seals and all
open, so that a new one can be put above the old; of peppers there is one.
"""

import os
import stat
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import mkstemp

from shared.core.errors import GatewayError
from shared.secrets.api_keys import SECRET_BYTES


class SecretFileError(GatewayError):
    """A file of secrets that cannot be used."""


def read_secrets(given: Path | None, own: Path, random_bytes: Callable[[int], bytes]) -> list[bytes]:
    """The secrets in `given`; without one those in `own`, which is made when it is missing.

    Raises `SecretFileError` when a file cannot be read, is open to others, or holds something else.
    """
    if given is None and not own.exists():
        try:
            _make(own, random_bytes)
        except OSError as error:
            raise SecretFileError(f"The secret {own} cannot be made: {error.strerror}.") from None
    return _read(given or own)


def _make(file: Path, random_bytes: Callable[[int], bytes]) -> None:
    """Several processes may come here at once: the first to link its file into place wins."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, half = mkstemp(prefix=f".{file.name}.", dir=file.parent)  # open to us alone
    with os.fdopen(handle, "wb") as out:
        out.write(b64encode(random_bytes(SECRET_BYTES)) + b"\n")
        out.flush()
        os.fsync(handle)
    with suppress(FileExistsError):
        os.link(half, file)
    os.unlink(half)


def _read(file: Path) -> list[bytes]:
    try:
        mode = file.stat().st_mode
        lines = file.read_text(encoding="ascii").split()
        secrets = [b64decode(line, validate=True) for line in lines]
    except OSError as error:
        raise SecretFileError(f"The secret in {file} cannot be read: {error.strerror}.") from None
    except (NotBase64, UnicodeDecodeError):
        raise SecretFileError(f"{file} must hold base64, one secret a line.") from None
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise SecretFileError(f"{file} is open to others; run: chmod 600 {file}")
    if not secrets or any(len(secret) != SECRET_BYTES for secret in secrets):
        raise SecretFileError(f"{file} must hold secrets of {SECRET_BYTES} bytes, in base64, one a line.")
    return secrets
