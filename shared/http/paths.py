"""The path of a request: normalized once, so that rule and upstream read the same."""

import re
from functools import lru_cache

_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")


# Characters that some upstream would read as the end of a path, of a segment or of a string.
_FORBIDDEN_ENCODED = {"%5C": "\\", "%00": "NUL", "%3B": ";", "%25": "%", "%3F": "?", "%23": "#"}


_FORBIDDEN_RAW = re.compile(r"[^\x21-\x7e]|[\\#?]")


_PERCENT = re.compile(r"%(..?)?", re.DOTALL)


# Dot segments that an upstream may find where we see none: '..;' (servlets), '..%2F' (decoded too early).
_HIDDEN_DOTS = re.compile(r"(?:/|%2F)\.\.?;|%2F\.\.?(?:%2F|/|$)|/\.\.?%2F")


_ENCODED_SLASH = "%2F"


@lru_cache(4096)
def normalise_path(path: str) -> str:
    """The one form of a request path: escapes decoded where that changes nothing, no dot segments.

    Encoded slashes stay ``%2F``; whether a rule accepts them is decided after the match. Idempotent.
    Raises ValueError, in a full sentence, on a path that upstreams could read in two ways.
    """
    if not path.startswith("/"):
        raise ValueError("The path must begin with a slash.")
    if found := _FORBIDDEN_RAW.search(path):
        raise ValueError(f"The path must not hold the character {found.group()!a}.")
    decoded = _PERCENT.sub(_decode, path)
    if _HIDDEN_DOTS.search(decoded):
        raise ValueError("The path must not hold a hidden dot segment (such as '..;' or '..%2F').")
    return _remove_dots(decoded)


def _decode(escape: re.Match[str]) -> str:
    digits = escape.group(1) or ""
    if not re.fullmatch("[0-9A-Fa-f]{2}", digits):
        raise ValueError("Each '%' of the path must be followed by two hexadecimal digits.")
    upper = "%" + digits.upper()
    if upper in _FORBIDDEN_ENCODED:
        raise ValueError(f"The path must not hold {upper} (an encoded {_FORBIDDEN_ENCODED[upper]}).")
    character = chr(int(digits, 16))
    if character < " " or character == "\x7f":
        raise ValueError(f"The path must not hold {upper} (an encoded control character).")
    return character if character in _UNRESERVED else upper


def _remove_dots(path: str) -> str:
    """Dot segments removed (RFC 3986, 5.2.4: an empty segment is one too), then empty ones."""
    kept: list[str] = []
    segments = path.split("/")[1:]
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    names = [segment for segment in kept if segment]
    folder = names and segments[-1] in ("", ".", "..")
    return "/" + "/".join(names) + ("/" if folder else "")


def rule_path(path: str, match: str) -> str:
    """The form in which a rule's path is stored: a prefix has no slash at its end."""
    normal = normalise_path(path)
    return normal.rstrip("/") or "/" if match == "prefix" else normal


def has_encoded_slash(path: str) -> bool:
    """True when a normalised path holds ``%2F``, which a rule must allow."""
    return _ENCODED_SLASH in path
