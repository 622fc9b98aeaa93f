"""The reports that a process has received of targets and keys, and which of them count for everybody.

A failure of one tenant's calls counts for that tenant, which may have caused it itself. A failure that two
tenants have seen within `WINDOW_SECONDS` counts for all, for the shorter of the two times. A probe, an
operator and the prober of the fleet speak for all at once; their reports have no tenant.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from shared.health.report import CLOSED, Report, key_id_of
from shared.model.pools import Breaker

#: Two tenants that see the same within this time make it everybody's.
WINDOW_SECONDS: Final = Breaker().window
# Targets and keys that are remembered. Clients choose the names of models.
_MAX_NAMES: Final = 10_000
# As many are dropped at once, because it takes long to find out whose.
_ROOM: Final = 500

#: A target, or a provider and its key.
_Subject = tuple[str, str]


class KnownHealth:
    """The reports that count now. Safe to read in another thread."""

    __slots__ = ("_reports",)

    def __init__(self) -> None:
        self._reports: dict[_Subject, dict[tuple[str, str], Report]] = {}

    def add(self, report: Report, now: float) -> Sequence[Report]:
        """Take note of a report. Returns what changes by it; also what is everybody's from now on."""
        if report.until <= now:
            return ()
        subject = _subject(report)
        if report.cause == CLOSED:
            self._close(subject, report)
            return (report,)
        reports = self._reports.get(subject)
        if reports is None:
            if len(self._reports) >= _MAX_NAMES:
                self._make_room(now)
            reports = self._reports[subject] = {}
        name = (report.tenant, report.model)
        before = reports.get(name)
        if before is not None and not report.is_firm and before.until >= report.until:
            # The earlier end changes nothing, but it was seen again.
            reports[name] = replace(before, at=max(before.at, report.at))
            changed: list[Report] = []
        else:
            reports[name] = report
            changed = [report]
        shared = _everybodys(report, list(reports.values()))
        if shared is not None:
            changed += self.add(shared, now)
        return changed

    def of_target(self, tenant: str, target: str) -> Sequence[Report]:
        """The reports of a target that count for a tenant. An empty `tenant` is everybody."""
        return [one for one in self._of((target, "")) if one.tenant in (tenant, "")]

    def of_key(self, tenant: str, provider: str, key: str) -> Sequence[Report]:
        """The reports of a key of a provider that count for a tenant."""
        return [one for one in self._of((provider, key)) if one.tenant in (tenant, "")]

    def of_key_id(self, tenant: str, key_id: str) -> Sequence[Report]:
        """The reports of a key that count for a tenant, for every secret that the key had."""
        subjects = [one for one in self._reports if key_id_of(one[1]) == key_id]
        return [one for subject in subjects for one in self._of(subject) if one.tenant in (tenant, "")]

    def tenants(self, target: str) -> int:
        """For how many tenants of their own a target is open."""
        return len({one.tenant for one in self._of((target, "")) if one.tenant})

    def targets(self) -> Iterator[str]:
        """The targets of which anything is known."""
        return (target for target, key in self._reports if not key)

    def forget(self, now: float) -> None:
        """Drop what is over."""
        for subject in [*self._reports]:
            reports = self._reports[subject]
            left = {name: one for name, one in reports.items() if one.until > now}
            if not left:
                del self._reports[subject]
            elif len(left) < len(reports):
                self._reports[subject] = left

    def _of(self, subject: _Subject) -> list[Report]:
        return list(self._reports.get(subject, {}).values())

    def _close(self, subject: _Subject, report: Report) -> None:
        """Drop what was said before of the target; without a tenant, for all."""
        reports = self._reports.get(subject, {})
        for name, one in [*reports.items()]:
            if one.is_undone_by(report):
                del reports[name]

    def _make_room(self, now: float) -> None:
        """Drop what is over, and else the oldest of the tenant with the most: it takes no place of others."""
        self.forget(now)
        if len(self._reports) < _MAX_NAMES:
            return
        tenants = Counter([tenant for reports in self._reports.values() for tenant, _ in reports])
        most = max(tenants, key=tenants.__getitem__)
        its = [one for one, reports in self._reports.items() if any(name[0] == most for name in reports)]
        for subject in its[:_ROOM]:
            reports = {name: one for name, one in self._reports[subject].items() if name[0] != most}
            if reports:
                self._reports[subject] = reports
            else:
                del self._reports[subject]


def _subject(report: Report) -> _Subject:
    return (report.provider, report.key) if report.key else (report.target, "")


def _everybodys(report: Report, reports: Sequence[Report]) -> Report | None:
    """The report for everybody, if another tenant has seen the same."""
    if not report.tenant or report.is_firm:
        return None
    ends = [
        one.until
        for one in reports
        if one.tenant not in ("", report.tenant)
        and (one.cause, one.model) == (report.cause, report.model)
        and abs(one.at - report.at) <= WINDOW_SECONDS
    ]
    return replace(report, tenant="", until=min(report.until, max(ends))) if ends else None
