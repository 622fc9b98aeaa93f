"""The examples in docstrings are true."""

import doctest
import importlib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_examples_in_docstrings_show_what_the_code_does() -> None:
    files = [
        file
        for package in ("shared", "mitm_engine", "mitm_addons", "admin_app")
        for file in (ROOT / package).rglob("*.py")
        if "\n    >>> " in file.read_text(encoding="utf-8") and file.name != "__main__.py"
    ]
    names = [".".join(file.relative_to(ROOT).with_suffix("").parts) for file in files]
    results = {name: doctest.testmod(importlib.import_module(name)) for name in names}
    assert sum(one.attempted for one in results.values()) > 50
    assert [name for name, one in results.items() if one.failed] == []
