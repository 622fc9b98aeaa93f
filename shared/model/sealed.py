"""Stored secrets."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sealed:
    """A stored secret: ciphertext that only an `AesSealer` with the same key id can open.

    In JSON it is ``{"sealed": "<text>"}``, so it differs from a plain string.
    """

    text: str
