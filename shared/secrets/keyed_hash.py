"""Hashes that only the processes of one deployment can compute: its secret is in them."""

import hashlib


def keyed_hash(secret: bytes, text: bytes, *, size: int) -> "hashlib.blake2b":
    """The hash of `text`, with a digest of `size` bytes. More text can be added to it.

    >>> keyed_hash(b"ours", b"text", size=4).digest() == keyed_hash(b"theirs", b"text", size=4).digest()
    False
    """
    return hashlib.blake2b(text, digest_size=size, key=secret[: hashlib.blake2b.MAX_KEY_SIZE])
