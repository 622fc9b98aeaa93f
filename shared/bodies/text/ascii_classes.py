r"""Warns of patterns that mean letters of all scripts, and match ASCII letters only.

In RE2 the escapes ``\b``, ``\w``, ``\d``, ``\s`` and classes such as ``[[:alpha:]]`` know ASCII only, also
with ``(?i)``. So ``\bétat\b`` never matches the word: there is no boundary before a letter that ``\w`` does
not know. A pattern with letters beyond ASCII, or with ``\p{…}``, means them.
"""

import re
from collections.abc import Mapping

#: The text to write for an escape or a class. Inside of a class, the outer brackets are left out.
FORMS: Mapping[str, str] = {
    r"\b": r"(?:^|$|[^\pL\pN_])",
    r"\w": r"[\pL\pN_]",
    r"\W": r"[^\pL\pN_]",
    r"\d": r"\p{Nd}",
    r"\D": r"\P{Nd}",
    r"\s": r"[\pZ\t-\r]",
    r"\S": r"[^\pZ\t-\r]",
    "[:alpha:]": r"\pL",
    "[:alnum:]": r"\pL\pN",
    "[:digit:]": r"\p{Nd}",
    "[:lower:]": r"\p{Ll}",
    "[:upper:]": r"\p{Lu}",
    "[:space:]": r"\pZ\t-\r",
    "[:word:]": r"\pL\pN_",
}
_TOKEN = re.compile(
    r"\\Q(?P<quoted>.*?)(?:\\E|\Z)|\\x\{(?P<code>[0-9a-fA-F]+)\}|(?P<script>\\[pP])|\\.|\[:\w+:\]|.", re.S
)
# The most characters of a pattern that a warning shows.
_SHOWN = 100


def ascii_warning(pattern: str) -> str | None:
    """Return a warning, with a form that works, for a pattern that means other letters too; else None."""
    tokens = list(_TOKEN.finditer(pattern))
    if not any(_is_foreign(token) for token in tokens):
        return None
    found = dict.fromkeys(token[0] for token in tokens if token[0] in FORMS)
    if not found:
        return None
    forms = ", ".join(f"{FORMS[name]} for {name}" for name in found)
    shown = pattern if len(pattern) <= _SHOWN else f"{pattern[:_SHOWN]}…"
    verb = "know" if len(found) > 1 else "knows"
    return f"In the pattern {shown}, {' and '.join(found)} {verb} ASCII only. Write {forms}."


def _is_foreign(token: "re.Match[str]") -> bool:
    """True for a letter beyond ASCII, or a class of such letters."""
    if code := token["code"]:
        return int(code, 16) > 127
    return token["script"] is not None or not (token["quoted"] or token[0]).isascii()
