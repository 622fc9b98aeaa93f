"""The audit of packages never passes when a package was not checked."""

import json
from pathlib import Path
from typing import Any

import pytest

from scripts.audit import CLEAN, UNCHECKED, VULNERABLE, judge
from tests.support.commands import run_command
from tests.support.gateway import ROOT

CHECKED = {"name": "one", "version": "1.0", "vulns": []}
BAD = {"name": "two", "version": "2.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1"], "aliases": []}]}
SKIPPED = {"name": "three", "skip_reason": "Dependency not found on PyPI and could not be audited"}


def report(*packages: dict[str, Any]) -> dict[str, Any]:
    return {"dependencies": [*packages], "fixes": []}


@pytest.mark.parametrize(
    ("reports", "code", "says"),
    [
        ([report(CHECKED), report(CHECKED), report()], CLEAN, "No known vulnerability in 1 packages."),
        ([report(CHECKED), report(BAD), report(BAD)], VULNERABLE, "two 2.0: PYSEC-1, fixed in 2.1"),
        ([report(CHECKED), report(SKIPPED), report()], UNCHECKED, "1 of 2 packages could not be checked"),
        ([report(CHECKED), report(CHECKED)], UNCHECKED, "The packages could not be checked"),
        ([], UNCHECKED, "The packages could not be checked"),
    ],
)
def test_packages_pass_only_if_all_were_checked(reports: list[dict[str, Any]], code: int, says: str) -> None:
    lines, found = judge(reports)
    assert (len(lines), found) == (1, code)
    assert lines[0].startswith(says)


def test_vulnerability_is_named_also_if_another_package_was_not_checked() -> None:
    lines, code = judge([report(BAD), report(SKIPPED), report()])
    assert ([line.partition(":")[0] for line in lines], code) == (
        ["two 2.0", "1 of 2 packages could not be checked"],
        UNCHECKED,
    )


@pytest.mark.slow
def test_audit_lists_all_pinned_packages_and_ends_with_one_of_its_codes() -> None:
    ended = run_command("scripts/audit.sh", timeout=600)
    assert ended.returncode in (CLEAN, VULNERABLE, UNCHECKED), ended.stderr
    said = ended.stdout.splitlines()[-1]
    assert ("No known vulnerability" in said, "could not be checked" in said, "fixed in" in said).count(
        True
    ) == 1
    for name in ("requirements", "requirements-otel"):
        bill = json.loads(Path(ROOT / "build" / "sbom" / f"{name}.json").read_text())
        pinned = [line for line in (ROOT / f"{name}.txt").read_text().splitlines() if "==" in line]
        listed = {f"{one['name']}=={one['version']}" for one in bill["components"]}
        assert bill["bomFormat"] == "CycloneDX"
        assert listed == {line.split()[0] for line in pinned}
