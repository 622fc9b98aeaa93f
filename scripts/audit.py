"""Judges the reports of pip-audit, which it reads from standard input: ``./scripts/audit.sh``."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

#: The codes of the end.
CLEAN, VULNERABLE, UNCHECKED = 0, 1, 2
#: Lock files, each of which has a report.
_REPORTS = 3


def main() -> None:
    """Print what was found, and end with its code."""
    lines, code = judge([json.loads(line) for line in sys.stdin if line.startswith("{")])
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.exit(code)


def judge(reports: Sequence[Mapping[str, Any]]) -> tuple[Sequence[str], int]:
    """The lines to print, and the code. A report that is missing is one that could not be made."""
    packages: list[Mapping[str, Any]] = [one for report in reports for one in report["dependencies"]]
    found = sorted({line for one in packages for line in _vulnerabilities(one)})
    unchecked = sorted({one["name"] for one in packages if "skip_reason" in one})
    if len(reports) < _REPORTS or unchecked:
        count = f"{len(unchecked)} of {_count(packages)} packages" if unchecked else "The packages"
        found.append(
            f"{count} could not be checked: the vulnerability service of PyPI cannot be reached, or does not "
            "know them. Run this where https://pypi.org can be reached."
        )
        return found, UNCHECKED
    if found:
        return found, VULNERABLE
    return [f"No known vulnerability in {_count(packages)} packages."], CLEAN


def _count(packages: Iterable[Mapping[str, Any]]) -> int:
    return len({one["name"] for one in packages})


def _vulnerabilities(package: Mapping[str, Any]) -> Iterable[str]:
    for one in package.get("vulns", ()):
        fixed = ", ".join(one["fix_versions"]) or "no release"
        yield f"{package['name']} {package['version']}: {one['id']}, fixed in {fixed}"


if __name__ == "__main__":
    main()
