"""The pepper and the encryption keys, in files that only their owner can read.

Each line of a file is a secret of 32 bytes in base64, and the first is the newest. It seals or hashes what
is new. Values that the older ones have sealed or hashed stay valid, so a new one is added above the old one.
"""

import os
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path

from shared.core.errors import GatewayError
from shared.core.process.data_files import whole_file, writing_to
from shared.secrets.api_keys import SECRET_BYTES


class SecretFileError(GatewayError):
    """A file of secrets that cannot be used."""


def read_secrets(
    given: Path | None, own: Path, random_bytes: Callable[[int], bytes], *, setting: str
) -> list[bytes]:
    """The secrets in the file `given`, or else in `own`, which is created when it is missing.

    Raises `SecretFileError`, which names the `setting`, when a file cannot be read, is open to others, or has
    other content, and `FolderUnusable` when `own` cannot be created.
    """
    if given is None:
        with writing_to(own.parent):
            if not own.exists():
                with whole_file(own, replaces=False) as half:
                    half.write_bytes(b64encode(random_bytes(SECRET_BYTES)) + b"\n")
    return _read(given or own, setting)


def _read(file: Path, setting: str) -> list[bytes]:
    try:
        found = file.stat()
        lines = file.read_text(encoding="ascii").split()
        secrets = [b64decode(line, validate=True) for line in lines]
    except OSError as error:
        raise SecretFileError(
            f"{setting}: {file} cannot be read: {error.strerror}. Correct the path or the rights of the file."
        ) from None
    except ValueError:
        raise SecretFileError(f"{setting}: {file} must have one secret in base64 per line.") from None
    if found.st_mode & _others(found.st_uid):
        raise SecretFileError(f"{setting}: {file} is open to others. Run: chmod 600 {file}")
    if not secrets or any(len(secret) != SECRET_BYTES for secret in secrets):
        raise SecretFileError(
            f"{setting}: {file} must have one secret of {SECRET_BYTES} bytes, in base64, per line."
        )
    return secrets


def _others(owner: int) -> int:
    """The rights that nobody but the gateway may have.

    The secrets that Kubernetes mounts belong to root. A gateway of another user reads them as their group.
    """
    return 0o077 if owner == os.geteuid() else 0o037
