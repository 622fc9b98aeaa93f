"""What encrypts secrets and hashes API keys."""

from typing import Protocol


class Sealer(Protocol):
    """Encrypts what must not stand in the store in the clear."""

    def seal(self, secret: str, context: str) -> str:
        """Ciphertext that opens only under the same `context` (tenant, field, origin)."""
        ...

    def open(self, text: str, context: str) -> str:
        """The secret. Raises ValueError when the text was changed, moved, or sealed by an unknown key."""
        ...


class Hasher(Protocol):
    """The keyed hash of API keys: HMAC-SHA256 with a pepper that is not in the store."""

    def __call__(self, secret: str) -> str:
        """``<pepper id>:<hex digest>``."""
        ...
