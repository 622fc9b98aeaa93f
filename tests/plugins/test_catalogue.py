"""Where plugins come from, and what holds for each of them."""

import asyncio
import doctest
import errno
import importlib.metadata
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from shared import plugins
from shared.core.errors import Invalid
from shared.model.config import Stage
from shared.model.messages import Response
from shared.net.port import FetchResponse
from shared.pipeline.plugin import Continue, Patch, Plugin, Reject, Respond, Tools
from shared.pipeline.testing import run_plugin
from shared.plugins import CatalogueError, load_catalogue
from shared.testing.memory_limiter import MemoryLimiter
from tests.pipeline.world import entry
from tests.plugins.exchanges import exchange, head
from tests.plugins.gate import Hands

CATALOGUE = load_catalogue()
BODIES = [None, b"", b"\x00\xff\xfe binary \x80", b"{}", b'{"messages":[{"content":"hi"}]}', b"[" * 3000]


@pytest.fixture(params=list(CATALOGUE))
def plugin(request: pytest.FixtureRequest) -> type[Plugin]:
    return CATALOGUE[request.param]


def test_the_built_in_plugins_are_found_by_their_files() -> None:
    assert {"content_validator", "external_validator", "rate_limiter", "security_validator"} <= {*CATALOGUE}
    assert all(CATALOGUE[name].name == name for name in CATALOGUE)


# Plugins that need one of several settings, so that no single one of them is required.
NEEDED: dict[str, dict[str, Any]] = {"rate_limiter": {"limit": 100, "window": "1m"}}


def least_settings(plugin: type[Plugin]) -> dict[str, Any]:
    """Of the settings those that are required, as their own examples show them."""
    fields = {field.data_key or name: field for name, field in plugin.schema().fields.items()}
    required = {name: field.metadata["example"] for name, field in fields.items() if field.required}
    return required | NEEDED.get(plugin.name, {})


def test_every_plugin_and_setting_is_documented(plugin: type[Plugin]) -> None:
    assert plugin.__doc__
    assert plugin.__doc__ != Plugin.__doc__
    for name, field in plugin.schema().fields.items():
        assert field.metadata["description"].endswith("."), name


def test_every_docstring_holds_an_example_that_runs(plugin: type[Plugin]) -> None:
    module = sys.modules[plugin.__module__]
    [found] = doctest.DocTestFinder(recurse=False).find(plugin, plugin.__name__, module, vars(module))
    assert found.examples
    assert doctest.DocTestRunner().run(found).failed == 0


def test_every_plugin_has_a_stage_of_its_own(plugin: type[Plugin]) -> None:
    assert plugin.default_stage in plugin.stages()
    assert plugin.default_on_error in plugin.on_error_choices


def test_settings_survive_a_round_trip(plugin: type[Plugin]) -> None:
    settings = least_settings(plugin)
    stored = json.dumps(settings)
    first, again = plugin.parse(settings), plugin.parse(json.loads(stored))
    assert json.dumps(settings) == stored
    for name in plugin.schema().fields:
        assert getattr(first, name) == getattr(again, name)


def test_an_unknown_setting_is_rejected(plugin: type[Plugin]) -> None:
    with pytest.raises(Invalid) as caught:
        plugin.parse({**least_settings(plugin), "no_such_setting": 1})
    assert "/no_such_setting" in [problem.pointer for problem in caught.value.problems]


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("stage", list(Stage))
def test_every_plugin_judges_every_body(plugin: type[Plugin], stage: Stage, body: bytes | None) -> None:
    if stage not in plugin.stages():
        assert plugin.method(stage) is None
        return
    made = plugin.parse(least_settings(plugin))
    if plugin.merges_entries:
        made = plugin.merge([entry(made, stage, on_error=plugin.default_on_error)])
    clock = Hands()
    made.start(Tools(MemoryLimiter(clock), lambda *_, **__: FetchResponse(200, {}, b"{}"), clock))
    seen = exchange(body, response=Response(200, head(), body))
    assert isinstance(run_plugin(made, stage, seen), Continue | Reject | Respond | Patch)
    if (waiting := made.cleanup(seen)) is not None:
        asyncio.run(waiting)
    assert isinstance(dict(made.response_headers(seen)), dict)


PLUGIN = '''
from shared.pipeline.plugin import CONTINUE, Plugin

class {name}(Plugin):
    """Lets everything pass."""

    def pre_request(self, exchange):
        return CONTINUE
'''


def test_plugins_of_a_folder_join_the_built_in_ones(tmp_path: Path) -> None:
    (tmp_path / "free_pass.py").write_text(PLUGIN.format(name="FreePass"))
    (tmp_path / "_helper.py").write_text("raise RuntimeError('not a plugin')")
    catalogue = load_catalogue([tmp_path])
    assert {*catalogue} == {*CATALOGUE, "free_pass"}
    assert catalogue["free_pass"].stages() == (Stage.PRE_REQUEST,)


@pytest.mark.parametrize(
    ("file", "text", "reason"),
    [
        ("rate_limiter.py", PLUGIN.format(name="Mine"), "Two plugins are named rate_limiter"),
        ("broken.py", "import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("broken.py", "class", "SyntaxError"),
        ("broken.py", "raise KeyError('x')", "KeyError"),
        ("empty.py", "", "exactly one Plugin class, but defines: none"),
        *(
            (
                "typo.py",
                PLUGIN.format(name="Mine").replace("pre_request", wrong),
                rf"{wrong}\. Did you mean {meant}\?",
            )
            for wrong, meant in (
                ("pre_requst", "pre_request"),
                ("preRequest", "pre_request"),
                ("post_response_events", "pre_response_events"),
                ("cleanupp", "cleanup"),
                ("warning", "warnings"),
            )
        ),
        (
            "typo.py",
            PLUGIN.format(name="Mine").replace("pre_request", "respond"),
            "at least one of the methods pre_request, post_request, pre_response, post_response",
        ),
        ("double.py", PLUGIN.format(name="One") + PLUGIN.format(name="Two"), "but defines: One, Two"),
    ],
)
def test_an_unusable_plugin_stops_the_start(tmp_path: Path, file: str, text: str, reason: str) -> None:
    (tmp_path / file).write_text(text)
    with pytest.raises(CatalogueError, match=reason) as caught:
        load_catalogue([tmp_path])
    assert str(tmp_path / file) in str(caught.value)
    assert str(caught.value).endswith(".")
    with pytest.raises(CatalogueError, match=r"plugins\.paths"):
        load_catalogue([tmp_path / "nowhere"])


def test_helper_method_of_a_plugin_is_no_typo(tmp_path: Path) -> None:
    helpers = "".join(
        f"\n    def {name}(self):\n        return None\n"
        for name in ("prepare_request", "parsed", "_pre_requst", "restart", "check")
    )
    (tmp_path / "free_pass.py").write_text(PLUGIN.format(name="FreePass") + helpers)
    assert "free_pass" in load_catalogue([tmp_path])


@pytest.fixture
def entry_point(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str, str], None]:
    """Installs a package with one entry point of that name, whose module has that text."""

    def install(name: str, text: str = PLUGIN.format(name="Mine")) -> None:
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, name, raising=False)
        point = importlib.metadata.EntryPoint(name, f"{name}:Mine", plugins.ENTRY_POINTS)
        monkeypatch.setattr(importlib.metadata, "entry_points", lambda **_: [point])

    return install


def test_an_installed_plugin_joins_the_built_in_ones_unless_its_name_is_taken(entry_point: Any) -> None:
    entry_point("installed_pass")
    assert "installed_pass" in load_catalogue()
    entry_point("security_validator")
    with pytest.raises(CatalogueError) as caught:
        load_catalogue()
    assert str(caught.value) == (
        "Two plugins are named security_validator: the built-in security_validator and the entry point "
        "security_validator (security_validator:Mine). Rename one of them."
    )


@pytest.mark.parametrize("text", ["Mine = 1", "", "raise OSError", "class Mine: pass"])
def test_an_entry_point_without_a_plugin_stops_the_start(entry_point: Any, text: str) -> None:
    entry_point("installed_broken", text)
    with pytest.raises(CatalogueError, match="installed_broken"):
        load_catalogue()


def test_folder_that_cannot_be_read_ends_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(_: Path) -> NoReturn:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "iterdir", denied)
    with pytest.raises(CatalogueError, match=r"cannot be read: Permission denied\. Correct its rights\."):
        load_catalogue([tmp_path])
