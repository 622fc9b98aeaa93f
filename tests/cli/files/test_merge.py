"""Several files and folders are one document; what two of them say of one thing is told with both places."""

from pathlib import Path

import pytest

from shared.cli.failures import Failure
from shared.cli.files import merge
from shared.cli.files.merge import read_files


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_owners_and_sections_of_several_files_are_merged(folder: Path) -> None:
    (folder / "a.yaml").write_text(
        '_format_version: "1"\ntenants: {acme: {name: Acme, rules: {a: {path: /a}}}}\n'
    )
    (folder / "more").mkdir()
    (folder / "more" / "b.yml").write_text(
        '_format_version: "1"\ntenants: {acme: {rules: {b: {path: /b}}}}\n'
    )
    (folder / "more" / "c.json").write_text('{"platform": {"models": {"m": {"targets": []}}}}')
    (folder / "more" / "notes.txt").write_text("not a file")
    document = read_files(["a.yaml", "more"], {})
    assert document.faults == []
    assert document.value["tenants"]["acme"]["rules"] == {"a": {"path": "/a"}, "b": {"path": "/b"}}
    assert document.value["platform"] == {"models": {"m": {"targets": []}}}
    document.fault("/tenants/acme/rules/b/path", "It is wrong.")
    assert str(document.faults[0]) == "more/b.yml:2:30: tenants.acme.rules.b.path: It is wrong."


def test_other_names_of_several_files_are_merged(folder: Path) -> None:
    (folder / "a.yaml").write_text(
        "platform: {moved: {providers: {a: b}}}\ntenants: {acme: {moved: {rules: {a: b}}}}\n"
    )
    (folder / "b.yaml").write_text(
        "platform: {moved: {providers: {c: d}}}\ntenants: {acme: {moved: {rules: {c: d}, budgets: {e: f}}}}\n"
    )
    document = read_files(["a.yaml", "b.yaml"], {})
    assert document.faults == []
    assert document.value == {
        "platform": {"moved": {"providers": {"a": "b", "c": "d"}}},
        "tenants": {"acme": {"moved": {"rules": {"a": "b", "c": "d"}, "budgets": {"e": "f"}}}},
    }


def test_thing_of_two_files_is_told_with_both_places(folder: Path) -> None:
    (folder / "a.yaml").write_text("tenants:\n  acme:\n    rules: {a: {path: /a}}\n    name: A\n")
    (folder / "b.yaml").write_text("tenants:\n  acme:\n    rules: {a: {path: /b}}\n    name: A\n")
    with pytest.raises(Failure) as error:
        read_files(["a.yaml", "b.yaml"], {}).check()
    assert str(error.value).splitlines() == [
        "b.yaml:3:13: tenants.acme.rules.a: It is at a.yaml:3:13, too. Remove one.",
        "b.yaml:4:5: tenants.acme.name: It is at a.yaml:4:5, too. Remove one.",
    ]


def test_empty_file_says_nothing_and_a_list_is_wrong(folder: Path) -> None:
    (folder / "a.yaml").write_text("# nothing\n")
    (folder / "b.yaml").write_text("- a\n")
    assert [str(one) for one in read_files(["a.yaml", "b.yaml"], {}).faults] == [
        "b.yaml:1:1: Must be a map with platform and tenants."
    ]


def test_files_that_cannot_be_read_are_told(folder: Path) -> None:
    (folder / "empty").mkdir()
    (folder / "latin.yaml").write_bytes(b"a: \xe9")
    for name, sentence in (
        ("none.yaml", "none.yaml cannot be read"),
        ("empty", "empty has no file whose name ends with"),
        ("latin.yaml", "latin.yaml is not UTF-8"),
    ):
        with pytest.raises(Failure, match=sentence):
            read_files([name], {})


def test_files_that_are_too_large_are_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge, "MAX_BYTES", 10)
    (folder / "a.yaml").write_text("a: 1\n")
    (folder / "b.yaml").write_text("b: 12\n")
    with pytest.raises(Failure, match="more than 10 bytes"):
        read_files(["a.yaml", "b.yaml"], {})
