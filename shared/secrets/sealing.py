"""Encryption of stored secrets with AES-256-GCM. Redis, its files and its backups contain no plain secret.

    v1.<key id>.<base64 of 12 bytes nonce + ciphertext + 16 bytes tag>

The context (tenant, field, origin) is authenticated and not stored. So a ciphertext that was moved to
another tenant or field does not open.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.secrets.api_keys import secret_id

_FORMAT = "v1"
_NONCE_BYTES = 12  # NIST SP 800-38D, 8.2
_CANNOT_OPEN = (
    "The stored secret cannot be opened: it was changed or moved, or its encryption key is missing."
)


class AesSealer:
    """The first of `keys` (32 bytes each) seals, all open: keys can be replaced in service."""

    def __init__(self, keys: Sequence[bytes], random_bytes: Callable[[int], bytes]) -> None:
        """Raises ValueError when there are no keys, or a key has another length."""
        if not keys or any(len(key) != 32 for key in keys):
            raise ValueError("Sealing needs keys of 32 bytes.")
        self._ciphers = {secret_id(key): AESGCM(key) for key in keys}
        self._id = secret_id(keys[0])
        self._random_bytes = random_bytes

    def seal(self, secret: str, context: str) -> str:
        """The ciphertext, which opens only with the same `context`."""
        nonce = self._random_bytes(_NONCE_BYTES)
        sealed = self._ciphers[self._id].encrypt(nonce, secret.encode(), _bound(context))
        return f"{_FORMAT}.{self._id}.{urlsafe_b64encode(nonce + sealed).decode()}"

    def is_newest(self, text: str) -> bool:
        """Whether `text` was sealed with the key that seals now."""
        return text.startswith(f"{_FORMAT}.{self._id}.")

    def open(self, text: str, context: str) -> str:
        """The secret. Raises ValueError when the text was changed, moved, or sealed with an unknown key."""
        version, _, rest = text.partition(".")
        key_id, _, payload = rest.partition(".")
        cipher = self._ciphers.get(key_id)
        data = _decode(payload)
        if version != _FORMAT or cipher is None or len(data) <= _NONCE_BYTES:
            raise ValueError(_CANNOT_OPEN)
        try:
            return cipher.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], _bound(context)).decode()
        except InvalidTag:
            raise ValueError(_CANNOT_OPEN) from None


def _bound(context: str) -> bytes:
    return f"{_FORMAT}.{context}".encode()


def _decode(payload: str) -> bytes:
    """The bytes; empty when the text is not canonical base64."""
    try:
        data = urlsafe_b64decode(payload)
    except ValueError:
        return b""
    return data if urlsafe_b64encode(data).decode() == payload else b""
