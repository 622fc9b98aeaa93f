"""ARCHITECTURE.md's glossary holds in the code: one word per thing."""

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shared.core.errors import STATUS
from shared.log_lines import KINDS, fields_of
from tests.admin_app.world import app_of, make_world

ROOT = Path(__file__).parents[2]
GLOSSARY = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").partition("## Glossary")[2]
ROWS = [
    [cell.strip() for cell in line.strip("| ").split("|")] for line in GLOSSARY.splitlines() if "|" in line
]
BANNED = {word for row in ROWS[2:] if len(row) == 3 for word in row[2].split(", ") if word}

#: Names of Python and of protocols, which others chose.
FOREIGN = frozenset({"ConnectionRefusedError", "ECONNREFUSED"})


def words(identifier: str) -> Iterator[str]:
    """The words of a name in lower case, plural and past tense included in their stem.

    >>> list(words("_BEFORE_ANSWERS")), list(words("CommandRefused"))
    (['before', 'answer'], ['command', 'refuse'])
    """
    for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", identifier):
        yield stem(word.lower())


def stem(word: str) -> str:
    """A banned word for each of its forms; any other word as it is."""
    for banned in BANNED:
        forms = {banned + end for end in ("s", "d", "ed", "ing")} | {f"{banned.removesuffix('e')}ing"}
        if word in forms:
            return banned
    return word


def identifiers(file: Path) -> set[str]:
    tokens = tokenize.generate_tokens(io.StringIO(file.read_text(encoding="utf-8")).readline)
    return {token.string for token in tokens if token.type == tokenize.NAME} - FOREIGN


def test_glossary_names_the_words_that_code_must_use() -> None:
    assert {"response", "reject", "limit", "slot", "timeout", "upstream", "tenant", "rule"} <= {
        row[0] for row in ROWS
    }
    assert {"answer", "refuse", "refusal"} <= BANNED


def test_word_that_the_glossary_replaced_is_no_identifier() -> None:
    packages = ("admin_app", "mitm_addons", "mitm_engine", "shared")
    files = [file for name in packages for file in (ROOT / name).rglob("*.py")]
    found = {
        f"{file.relative_to(ROOT)}: {name}"
        for file in [*files, *ROOT.glob("*.py")]
        for name in identifiers(file)
        if BANNED & set(words(name))
    }
    assert not found


def test_word_that_the_glossary_replaced_is_in_no_json_of_the_admin_api_and_the_log(tmp_path: Path) -> None:
    spec = app_of(make_world(tmp_path)).test_client().get("/openapi.json").get_json()
    names = set(json_words(spec)) | set(STATUS) | {one.name for kind in KINDS for one in fields_of(kind)}
    assert {"outcome", "forwarded", "Explanation", "rate_limit_exceeded", "ttft_ms"} <= names
    assert not {name for name in names if BANNED & set(words(name))}


def json_words(part: Any) -> Iterator[str]:
    """The names of schemas and of their members, and the words that a member may have."""
    if isinstance(part, list):
        for each in part:
            yield from json_words(each)
    if isinstance(part, dict):
        yield from part.get("schemas", ())
        yield from part.get("properties", ())
        yield from map(str, part.get("enum", ()))
        for each in part.values():
            yield from json_words(each)
