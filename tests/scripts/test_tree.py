"""The source tree holds the bounds that ARCHITECTURE.md states."""

from pathlib import Path

import pytest

from scripts.tree import MAX_SHORT_FILES, SHORT_FILES, Source, broken_bounds, figures, read_sources


def test_figures_count_the_files_of_each_subject(project: Path) -> None:
    for name in ("b/one.py", "a/deep/two.py", "a/__init__.py", "a/three.py"):
        (project / "shared" / name).parent.mkdir(parents=True, exist_ok=True)
        (project / "shared" / name).write_text("")
    lines = list(figures([*read_sources(project), Source("shared/c.py", "def work(): ...")]))
    assert lines[lines.index("files per subject") + 1 :] == ["  shared/a 2", "  shared/b 1"]


def test_exceptions_to_the_bounds_are_few_and_still_needed() -> None:
    short = {source.path for source in read_sources() if source.lines < 60}
    assert len(SHORT_FILES) <= MAX_SHORT_FILES
    assert set(SHORT_FILES) <= short


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose only package holds one good file."""
    for name in ("admin_app", "mitm_addons", "mitm_engine", "shared"):
        (tmp_path / name).mkdir()
    for name in ("wsgi.py", "run_proxy.py", "proxy_worker.py", "gunicorn.conf.py"):
        (tmp_path / name).write_text("")
    (tmp_path / "shared/__init__.py").write_text("")
    (tmp_path / "shared/good.py").write_text("x = 1\n" * 60)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("shared/long.py", "x = 1\n" * 401, "401 lines, at most 400"),
        ("shared/short.py", "x = 1\n", "1 lines and one importer; make it a section of its neighbor"),
        ("shared/deep.py", "def work():\n" + "    x = 1\n" * 60, "work has 61 lines, at most 50"),
        ("shared/sub/__init__.py", "", "no docstring that says what the folder holds"),
        ("shared/sub/__init__.py", '"""What is sent."""', "a docstring begins with What; begin with a noun"),
    ],
)
def test_file_outside_the_bounds_is_named(project: Path, name: str, text: str, complaint: str) -> None:
    assert broken_bounds(project) == []
    (project / name).parent.mkdir(exist_ok=True)
    (project / name).write_text(text)
    assert broken_bounds(project) == [f"{name}: {complaint}"]


def test_short_file_with_two_importers_is_accepted(project: Path) -> None:
    (project / "shared/short.py").write_text("x = 1\n")
    for name in ("one", "two"):
        (project / f"shared/{name}.py").write_text("from shared import short\n" + "x = 1\n" * 60)
    assert broken_bounds(project) == []


def test_folder_of_sixteen_files_is_named(project: Path) -> None:
    for number in range(15):
        (project / f"shared/data{number}.lua").write_text("")
    assert broken_bounds(project) == ["shared: 16 files, at most 15"]
