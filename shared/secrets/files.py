"""The pepper and the encryption keys, in files that only their owner can read.

Each line of a file is a secret of 32 bytes in base64. The first encryption key seals, and all of them
open, so a new key can be added above the old one. There is only one pepper.
"""

import os
from base64 import b64decode, b64encode
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import mkstemp

from shared.core.errors import GatewayError
from shared.secrets.api_keys import SECRET_BYTES


class SecretFileError(GatewayError):
    """A file of secrets that cannot be used."""


def read_secrets(given: Path | None, own: Path, random_bytes: Callable[[int], bytes]) -> list[bytes]:
    """The secrets in the file `given`, or else in `own`, which is created when it is missing.

    Raises `SecretFileError` when a file cannot be read, is open to others, or has other content.
    """
    if given is None and not own.exists():
        try:
            _create(own, random_bytes)
        except OSError as error:
            raise SecretFileError(f"The secret {own} cannot be created: {error.strerror}.") from None
    return _read(given or own)


def _create(file: Path, random_bytes: Callable[[int], bytes]) -> None:
    """Create the file. Of several processes that do so at once, the first to link its file wins."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, half = mkstemp(prefix=f".{file.name}.", dir=file.parent)  # only this user can open it
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
    except ValueError:
        raise SecretFileError(f"{file} must have one secret in base64 per line.") from None
    if mode & 0o077:
        raise SecretFileError(f"{file} is open to others. Run: chmod 600 {file}")
    if not secrets or any(len(secret) != SECRET_BYTES for secret in secrets):
        raise SecretFileError(f"{file} must have one secret of {SECRET_BYTES} bytes, in base64, per line.")
    return secrets
