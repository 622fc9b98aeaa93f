"""Take what the gateway sends to an upstream as a secret out of what the upstream repeats of it."""

import json
import re
from collections.abc import Callable, Iterable
from typing import Final, Self
from urllib.parse import quote, quote_plus

from shared.core.http_tokens import MASK, Fields
from shared.http.body_rejected import BodyRejected
from shared.http.content_coding import coding_of, decode, encode

# Shorter ones are not secret, and stand in harmless text: keys, and the words of headers and parameters.
_SHORTEST_KEY = 8
_SHORTEST_WORD = 12
_MASK = MASK.encode()
# The member that tells an error. In a text of JSON its quotes would have escapes.
_TELLS_ERROR: Final = re.compile(rb'"error"(?!\s*:\s*null)')
_ERROR: Final = b'"error"'


class SentSecrets:
    """The forms in which secrets may be repeated: as they were sent, in a URL and in JSON."""

    __slots__ = ("_forms", "_longest")

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in secrets for form in _forms(secret)}
        self._forms = sorted(forms, key=len, reverse=True)
        self._longest = len(self._forms[0]) if self._forms else 0

    @classmethod
    def of(cls, key: str, values: Iterable[str]) -> Self | None:
        """Those of a key, and of the values of headers and parameters. None: there are no secrets.

        A value counts as a whole, and each of its words: a token may be repeated without its scheme.
        """
        words = {word for value in values for word in (value, *value.split()) if len(word) >= _SHORTEST_WORD}
        if len(key) >= _SHORTEST_KEY:
            words.add(key)
        return cls(words) if words else None

    def removed(self, data: bytes) -> bytes:
        """`data` without the secrets."""
        for form in self._forms:
            data = data.replace(form, _MASK)
        return data

    def removed_from_body(self, body: bytes, codings: tuple[str, ...]) -> bytes:
        """A whole body without the secrets; empty if its content coding cannot be read."""
        try:
            coding = coding_of(codings)
            plain = decode(body, coding)
        except BodyRejected:
            return b""
        left = self.removed(plain)
        return body if left == plain else encode(left, coding)

    def removed_from_fields(self, fields: Fields) -> Fields:
        """The fields of a head without the secrets."""
        values = b"\n".join([value for _, value in fields])
        if self.removed(values) == values:
            return fields
        return tuple([(name, self.removed(value)) for name, value in fields])

    def begun_in(self, data: bytes) -> int:
        """The length of the end of `data` that may be the beginning of a secret."""
        for size in range(min(self._longest - 1, len(data)), 0, -1):
            end = data[-size:]
            if any(form.startswith(end) for form in self._forms):
                return size
        return 0


class SecretRemover:
    """Takes secrets out of a body in pieces. The beginning of a secret waits for the next piece."""

    __slots__ = ("_rest", "_secrets")

    def __init__(self, secrets: SentSecrets) -> None:
        self._secrets = secrets
        self._rest = b""

    def feed(self, piece: bytes) -> bytes:
        """The bytes that may be sent now."""
        data = self._secrets.removed(self._rest + piece)
        size = self._secrets.begun_in(data)
        end = len(data) - size
        self._rest = data[end:]
        return data[:end]

    def end(self) -> bytes:
        """The bytes that are left, when the body has ended."""
        rest, self._rest = self._rest, b""
        return rest


class ErrorSecretRemover:
    """Takes secrets out of a stream from its first error on. Events before it pass as they come.

    `secrets` finds them, once there is an error.
    """

    __slots__ = ("_end", "_find", "_remover")

    def __init__(self, secrets: Callable[[], SentSecrets | None]) -> None:
        self._find = secrets
        self._end = b""
        self._remover: SecretRemover | None = None

    def feed(self, piece: bytes) -> bytes:
        """The bytes that may be sent now."""
        if self._remover is not None:
            return self._remover.feed(piece)
        seen = self._end + piece
        self._end = seen[1 - len(_ERROR) :]
        if seen.rfind(_ERROR) < 0:  # nearly always, and found out faster than by the pattern
            return piece
        if _TELLS_ERROR.search(seen) is None or (secrets := self._find()) is None:
            return piece
        self._remover = SecretRemover(secrets)
        return self._remover.feed(piece)

    def end(self) -> bytes:
        """The bytes that are left, when the stream has ended."""
        return b"" if self._remover is None else self._remover.end()


def tells_error(body: bytes) -> bool:
    """Whether a body of JSON has a member that tells an error."""
    return _TELLS_ERROR.search(body) is not None


def _forms(secret: str) -> Iterable[bytes]:
    """The ways to write a secret, as bytes."""
    in_json = json.dumps(secret)[1:-1]
    yield from (text.encode() for text in (secret, in_json, in_json.replace("/", r"\/")))
    for in_url in (quote(secret, safe=""), quote_plus(secret)):
        yield from (text.encode() for text in (in_url, _lower_escapes(in_url)))


def _lower_escapes(text: str) -> str:
    """A text from a URL with lower-case letters in its percent-escapes: %2f for %2F."""
    first, *others = text.split("%")
    return "%".join([first, *(part[:2].lower() + part[2:] for part in others)])
