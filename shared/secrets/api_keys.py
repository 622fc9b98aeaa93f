"""API keys: their format, how they are made, and their keyed hash, which alone is stored.

    gwk_ 9fK2mQ7x 0dV…43 characters…Zp1 4sT0aB
    │    │        │                     └ 6: CRC-32 of all before it, so a mistyped key needs no look-up
    │    │        └ 43: 256 random bits
    │    └ 8: public; with ``gwk_`` the prefix in lists and logs
    └ marks an API key of the gateway, also for scanners of leaked secrets

61 characters. Numbers are in base 62, the highest digit first.
"""

import hashlib
import hmac
import re
import zlib
from collections.abc import Callable, Container
from dataclasses import dataclass, field

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
# All numbers of two digits: every request needs a checksum.
_PAIRS = [high + low for high in _DIGITS for low in _DIGITS]
_PUBLIC, _SECRET, _CHECK = 8, 43, 6
_FORM = re.compile(r"gwk_[0-9A-Za-z]{57}")
#: The beginning of every key.
MARK = "gwk_"

#: Shortest pepper or encryption key, in bytes.
SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class MintedKey:
    """A new key. `text` is shown once and never stored; `prefix` is public."""

    text: str = field(repr=False)
    prefix: str


def mint_key(random_bytes: Callable[[int], bytes]) -> MintedKey:
    """Make a key. `random_bytes` returns that many cryptographically random bytes."""
    public = int.from_bytes(random_bytes(_PUBLIC)) % 62**_PUBLIC
    prefix = MARK + _base62(public, _PUBLIC)
    body = prefix + _base62(int.from_bytes(random_bytes(SECRET_BYTES)), _SECRET)
    return MintedKey(body + _checksum(body), prefix)


def parse_key(text: str) -> str:
    """`text` itself, if it has the format of a key and a correct checksum.

    Raises ValueError, the same for every fault. Needs neither Redis nor a secret.
    """
    if not is_key(text):
        raise ValueError("This is not an API key of this gateway.")
    return text


def is_key(text: str) -> bool:
    """Whether `text` has the format of a key and a correct checksum."""
    return bool(_FORM.fullmatch(text)) and _checksum(text[:-_CHECK]) == text[-_CHECK:]


def cut_keys(text: str) -> str:
    """The text without the keys in it, as `parse_key` knows them."""
    return _FORM.sub(lambda found: "" if is_key(found.group()) else found.group(), text)


def secret_id(secret: bytes) -> str:
    """A public name of a pepper or an encryption key: 8 hexadecimal digits of its hash."""
    return hashlib.sha256(b"ai-gateway secret id:" + secret).hexdigest()[:8]


class KeyHash(str):
    """The hash of a secret by the newest pepper. `older` has those by the older peppers, the newest first."""

    older: tuple[str, ...] = ()


def all_hashes(key_hash: str) -> tuple[str, ...]:
    """A hash, and those of the same secret by older peppers."""
    return (key_hash, *key_hash.older) if isinstance(key_hash, KeyHash) else (key_hash,)


def match_hash(key_hash: str, known: Container[str]) -> str | None:
    """The first of `all_hashes` that is known; None if none is."""
    return next((one for one in all_hashes(key_hash) if one in known), None)


class PepperedHasher:
    """HMAC-SHA256 with a pepper. Without the pepper, stored hashes can neither be used nor guessed.

    API keys are random, so a fast hash is enough (2 to 4 µs).
    """

    def __init__(self, pepper: bytes, *older: bytes) -> None:
        """`older` peppers may have made stored hashes. Raises ValueError when one is too short."""
        if len(pepper) < SECRET_BYTES:
            raise ValueError(f"The pepper must have at least {SECRET_BYTES} bytes.")
        # Copied for each key, because a new HMAC takes OpenSSL as long as all other steps.
        self._keyed = hmac.new(pepper, digestmod="sha256")
        self._id = secret_id(pepper)
        #: A hasher for each older pepper.
        self.older = tuple(PepperedHasher(one) for one in older)

    def __call__(self, secret: str) -> str:
        """``<pepper id>:<hex digest>``; a `KeyHash` if there are older peppers."""
        keyed = self._keyed.copy()
        keyed.update(secret.encode())
        text = f"{self._id}:{keyed.hexdigest()}"
        if not self.older:
            return text
        found = KeyHash(text)
        found.older = tuple(hasher(secret) for hasher in self.older)
        return found

    @property
    def each(self) -> "tuple[PepperedHasher, ...]":
        """A hasher for each pepper, the newest first."""
        return (self, *self.older)

    def secrets(self, purpose: str) -> tuple[bytes, ...]:
        """Secrets of the deployment for a purpose, one per pepper, the newest first."""
        return tuple(one(purpose).rpartition(":")[2].encode() for one in self.each)


def _base62(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, digit = divmod(number, 62)
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))


def _checksum(body: str) -> str:
    high, low = divmod(zlib.crc32(body.encode()), len(_PAIRS))
    higher, high = divmod(high, len(_PAIRS))
    return _PAIRS[higher] + _PAIRS[high] + _PAIRS[low]
