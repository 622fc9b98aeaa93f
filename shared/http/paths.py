"""The path of a request, normalized once, so that a rule and its upstream read the same path."""

import re
from functools import lru_cache

_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
# Characters that end a path, a segment or a string for some upstreams.
_FORBIDDEN_ENCODED = {"%5C": "\\", "%00": "NUL", "%3B": ";", "%25": "%", "%3F": "?", "%23": "#"}
_FORBIDDEN_RAW = re.compile(r"[^\x21-\x7e]|[\\#?]")
_PERCENT = re.compile(r"%(..?)?", re.DOTALL)
# Dot segments for some upstreams only: '..;' (servlets), '..%2F' (for one that decodes too early).
_HIDDEN_DOTS = re.compile(r"(?:/|%2F)\.\.?;|%2F\.\.?(?:%2F|/|$)|/\.\.?%2F")


@lru_cache(4096)
def normalize_path(path: str) -> str:
    """Return the path without dot segments, with escapes decoded when that changes nothing. Idempotent.

    Encoded slashes stay ``%2F``: after the match, the rule accepts or rejects them. Raises ValueError, with a
    full sentence, on a path that two upstreams could read differently.
    """
    if not path.startswith("/"):
        raise ValueError("The path must begin with a slash.")
    if found := _FORBIDDEN_RAW.search(path):
        raise ValueError(f"The path must not contain the character {found.group()!a}.")
    decoded = _PERCENT.sub(_decode, path)
    if _HIDDEN_DOTS.search(decoded):
        raise ValueError("The path must not contain a hidden dot segment (such as '..;' or '..%2F').")
    return _remove_dots(decoded)


def _decode(escape: re.Match[str]) -> str:
    digits = escape.group(1) or ""
    if not re.fullmatch("[0-9A-Fa-f]{2}", digits):
        raise ValueError("Each '%' of the path must be followed by two hexadecimal digits.")
    upper = "%" + digits.upper()
    if upper in _FORBIDDEN_ENCODED:
        raise ValueError(f"The path must not contain {upper} (an encoded {_FORBIDDEN_ENCODED[upper]}).")
    character = chr(int(digits, 16))
    if character < " " or character == "\x7f":
        raise ValueError(f"The path must not contain {upper} (an encoded control character).")
    return character if character in _UNRESERVED else upper


def _remove_dots(path: str) -> str:
    """Remove dot segments (RFC 3986, 5.2.4; there an empty segment counts as one), then empty segments."""
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
    """Return the path of a rule as it is stored: normalized, and a prefix without a slash at its end."""
    normal = normalize_path(path)
    return normal.rstrip("/") or "/" if match == "prefix" else normal
