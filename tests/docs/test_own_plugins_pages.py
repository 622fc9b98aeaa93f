"""The examples of docs/how-to/own-plugins.md work as printed; the reference has all of a plugin."""

import doctest
import inspect
import json
import re
import sys
from pathlib import Path
from typing import Any, cast

import pytest

from shared.model.config import Stage
from shared.model.messages import Exchange, Request
from shared.pipeline.plugin import CONTINUE, Patch, Plugin, Reject, Respond, Tools
from shared.pipeline.testing import run_plugin, sample_exchange
from shared.plugins import load_catalogue
from tests.plugins.gate import Hands
from tests.support.commands import run_command

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "own-plugins.md").read_text(encoding="utf-8")
REFERENCE = (ROOT / "docs" / "reference" / "plugin-classes.md").read_text(encoding="utf-8")
PLUGIN, TEST, QUICK, TIMED = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
[PROJECT] = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
[ENTRY] = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the page's plugins and its test."""
    (tmp_path / "tests").mkdir()
    texts = {"max_prompt": PLUGIN, "long_lines": QUICK, "opening_hours": TIMED, "tests/test_max_prompt": TEST}
    for name, text in texts.items():
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    return tmp_path


def test_the_plugin_works_and_its_entry_is_accepted(folder: Path) -> None:
    kind = load_catalogue([folder])[ENTRY["name"]]
    assert isinstance(kind.parse(ENTRY["settings"]), Plugin)
    assert doctest.testmod(sys.modules[kind.__module__]) == (0, 1)


@pytest.mark.slow
def test_test_shown_on_the_page_passes(folder: Path) -> None:
    ended = run_command(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", folder / "tests")
    assert ended.returncode == 0, ended.stdout
    assert "1 passed" in ended.stdout


@pytest.mark.parametrize(("hour", "open"), [(7, False), (8, True), (17, True), (18, False)])
def test_the_plugin_with_tools_works(folder: Path, hour: int, open: bool) -> None:
    clock = Hands()
    clock.seconds = hour * 3600.0
    plugin = load_catalogue([folder])["opening_hours"].parse({})
    plugin.start(Tools(cast(Any, None), cast(Any, None), clock))
    verdict = run_plugin(plugin, Stage.PRE_REQUEST, sample_exchange())
    assert (verdict == CONTINUE) is open


@pytest.mark.parametrize(("length", "quick", "passes"), [(10_000, True, True), (20_000, False, False)])
def test_plugin_quick_for_small_bodies_works(folder: Path, length: int, quick: bool, passes: bool) -> None:
    plugin = load_catalogue([folder])["long_lines"].parse({})
    sample = sample_exchange()
    asked = sample._replace(request=sample.request.with_body(b"x" * length))
    assert plugin.is_quick(asked) is quick
    assert (run_plugin(plugin, Stage.PRE_REQUEST, asked) == CONTINUE) is passes


def test_the_package_that_it_shows_is_the_one_of_the_examples() -> None:
    assert (ROOT / "examples" / "model_alias" / "pyproject.toml").read_text() == PROJECT


def test_reference_names_every_field_that_a_plugin_gets_and_gives() -> None:
    for value in (Exchange, Request, Reject, Respond, Patch):
        for name in inspect.get_annotations(value):
            assert re.search(rf"\b{name}\b", REFERENCE), f"{value.__name__}.{name}"
    for stage in Stage:
        assert f"| `{stage}` |" in REFERENCE


def test_reference_names_every_attribute_of_a_plugin_class() -> None:
    """But for what only the built-in rate limiter needs."""
    documented = set(inspect.get_annotations(Plugin)) - {"name", "schema", "secrets", "merges_entries"}
    assert {name for name in documented if f"| `{name}` |" not in REFERENCE} == set()
    public = {name for name, value in vars(Plugin).items() if callable(value) and not name.startswith("_")}
    hooks = public - {"parse", "combine", "method", "stages"}
    assert "is_quick" in hooks
    assert {name for name in hooks if f"{name}(" not in REFERENCE} == set()
