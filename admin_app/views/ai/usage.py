"""/usage and /tenants/{id}/usage: what calls of models used and cost, and limits that are tried on them."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Any, Final

from flask import Response
from flask.views import MethodView
from marshmallow import fields, validate

from admin_app.auth.access import Access, requires
from admin_app.auth.field_access import visible_keys
from admin_app.changes.snapshot import find_tenant
from admin_app.context import services
from admin_app.http.openapi import Blueprint
from admin_app.http.paging import DEFAULT_LIMIT, MAX_LIMIT, invalid_cursor
from admin_app.http.responses import response
from shared.budgets.what_if import try_limits
from shared.core.errors import Invalid, Problem
from shared.core.fields import Strict
from shared.documents.ai import examples
from shared.documents.ai.usage import (
    DAY,
    TAG,
    TENANT,
    PlatformUsageQuery,
    UsageQuery,
    UsageReport,
    UsageRows,
    row_document,
    sum_document,
)
from shared.documents.ai.what_if import WhatIfInput, WhatIfReport, effect_document
from shared.usage.aggregates import Combination, Totals, add_to, grouped
from shared.usage.reader import UsageReader
from shared.usage.row import LedgerRow, calls

blueprint = Blueprint("usage", __name__, "The usage and the cost of calls of models.")

#: The most days of a report; with group_by=tag, which reads rows of the ledger; and of all tenants.
MAX_DAYS, MAX_TAG_DAYS, MAX_PLATFORM_DAYS = 366, 31, 31
_DEFAULT_DAYS: Final = 31
#: The most days and calls on which limits are tried, and the days without a choice.
MAX_TRIED_DAYS, MAX_TRIED = 31, 100_000
_TRIED_DAYS: Final = 7
_PAGE: Final = 1_000
# The beginnings of cells that a spreadsheet would read as a formula.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
_CSV: Final = "text/csv"
_FORMS: Final = "The report, as JSON or, with `format=csv`, as a table with a row per group."
_NUMBERS: Final = ("calls", "input", "output", "cached", "cost", "unpriced")

type _Groups = list[tuple[tuple[str, ...], Totals]]


class RowsQuery(Strict):
    """One page of the ledger."""

    limit = fields.Integer(
        load_default=DEFAULT_LIMIT,
        validate=validate.Range(1, MAX_LIMIT),
        metadata={"description": "Maximum number of rows."},
    )
    cursor = fields.String(
        load_default=None,
        validate=validate.Length(max=41),
        metadata={"description": "`next_cursor` of the previous page. Omit it for the newest rows."},
    )


@blueprint.route("/usage")
class PlatformUsage(MethodView):
    @requires(Access.PLATFORM)
    @blueprint.operation("reportUsage")
    @blueprint.reads(PlatformUsageQuery, location="query")
    @blueprint.responses(200, UsageReport, example=examples.PLATFORM_USAGE)
    @blueprint.responds_text(_CSV, _FORMS, examples.PLATFORM_USAGE_CSV)
    def get(self, query: dict[str, Any]) -> Response:
        """Report the usage of all tenants, of at most 31 days"""
        first, last = _days(query, MAX_PLATFORM_DAYS)
        by = query["group_by"]
        with services().reading(UsageReader) as reader:
            groups = _of_all(reader, first, last, by)
        return _report(query, first, last, groups)


@blueprint.route("/tenants/<tenant_id>/usage")
class Usage(MethodView):
    @requires(Access.READ)
    @blueprint.operation("reportTenantUsage")
    @blueprint.reads(UsageQuery, location="query")
    @blueprint.responses(200, UsageReport, example=examples.USAGE)
    @blueprint.responds_text(_CSV, _FORMS, examples.USAGE_CSV)
    def get(self, query: dict[str, Any], tenant_id: str) -> Response:
        """Report the usage of a tenant

        At most 366 days, and 31 with group_by=tag. A call with several tags counts in each of their groups.
        """
        find_tenant(tenant_id)
        by = query["group_by"]
        first, last = _days(query, MAX_TAG_DAYS if TAG in by else MAX_DAYS)
        with services().reading(UsageReader) as reader:
            if TAG in by:
                groups = _by_tags(_rows_of(reader, tenant_id, first, last), by)
            else:
                groups = grouped(reader.sums(tenant_id, first, last), by)
        return _report(query, first, last, groups)


@blueprint.route("/tenants/<tenant_id>/usage/rows")
class Rows(MethodView):
    @requires(Access.READ)
    @blueprint.operation("listUsageRows")
    @blueprint.reads(RowsQuery, location="query")
    @blueprint.responses(200, UsageRows, example=examples.USAGE_ROWS)
    def get(self, query: dict[str, Any], tenant_id: str) -> Response:
        """List the calls of a tenant, the newest first

        The ledger is bounded: its oldest rows leave it first.
        """
        tenant = find_tenant(tenant_id).tenant
        with services().reading(UsageReader) as reader:
            try:
                page = reader.rows(tenant_id, limit=query["limit"], cursor=query["cursor"])
            except ValueError:
                raise invalid_cursor() from None
        keys = visible_keys(tenant)
        documents = [row_document(row, keys) for row in page.rows]
        return response({"rows": documents, "count": len(documents), "next_cursor": page.next_cursor})


@blueprint.route("/tenants/<tenant_id>/rate-limits/what-if")
class WhatIf(MethodView):
    @requires(Access.READ)
    @blueprint.operation("testRateLimits")
    @blueprint.reads(WhatIfInput, example=examples.WHAT_IF_INPUT)
    @blueprint.responses(200, WhatIfReport, example=examples.WHAT_IF)
    def post(self, body: dict[str, Any], tenant_id: str) -> Response:
        """Try limits on recorded calls

        Reports what each limit would have rejected. Nothing is changed. At most 31 days, and of those the
        newest 100,000 calls. Only calls that used a model are recorded.
        """
        snapshot = find_tenant(tenant_id)
        first, last = _days(body, MAX_TRIED_DAYS, _TRIED_DAYS)
        rule = body["rule"]
        with services().reading(UsageReader) as reader:
            found = calls(_rows_of(reader, tenant_id, first, last))
            rows = list(islice((row for row in found if rule in (None, row.rule)), MAX_TRIED + 1))
        tried = rows[:MAX_TRIED]
        names = {key.id: key.name for key in snapshot.keys}
        report = {
            "first": first.isoformat(),
            "last": last.isoformat(),
            "calls": len(tried),
            "is_truncated": len(rows) > MAX_TRIED,
            "oldest_at": tried[-1].time if tried else None,
            "limits": [effect_document(effect, names) for effect in try_limits(body["limits"], tried)],
        }
        return response(WhatIfReport().dump(report))


def _days(query: Mapping[str, Any], most: int, default: int = _DEFAULT_DAYS) -> tuple[date, date]:
    """The first and the last day of a report. Raises `Invalid`."""
    last = query["last"] or datetime.fromtimestamp(services().clock.now(), UTC).date()
    first = query["first"] or last - timedelta(days=default - 1)
    if first > last:
        raise Invalid([Problem("/from", "Must not be after to.")])
    if (last - first).days >= most:
        raise Invalid([Problem("/from", f"Must be at most {most} days, with that of to.")])
    return first, last


def _of_all(reader: UsageReader, first: date, last: date, by: Sequence[str]) -> _Groups:
    inner = [name for name in by if name != TENANT]
    found: dict[tuple[str, ...], Totals] = {}
    for tenant_id in reader.tenants():
        for group, totals in grouped(reader.sums(tenant_id, first, last), inner):
            names = {**dict(zip(inner, group, strict=True)), TENANT: tenant_id}
            add_to(found, tuple([names[name] for name in by]), totals)
    return sorted(found.items(), key=lambda item: item[0])


def _rows_of(reader: UsageReader, tenant_id: str, first: date, last: date) -> Iterator[LedgerRow]:
    """The rows of some days. Rows are in the order in which they were written, about that of their times."""
    begin, end = first.isoformat(), last.isoformat()
    # Rows are written soon after their calls, so a day before the first one has none of it behind it.
    stop = (first - timedelta(days=1)).isoformat()
    cursor = None
    while True:
        page = reader.rows(tenant_id, limit=_PAGE, cursor=cursor)
        yield from (row for row in page.rows if begin <= row.day <= end)
        cursor = page.next_cursor
        if cursor is None or (page.rows and page.rows[-1].day < stop):
            return


def _by_tags(rows: Iterable[LedgerRow], by: Sequence[str]) -> _Groups:
    found: dict[tuple[str, ...], Totals] = {}
    for row in calls(rows):
        names = {**Combination.of(row)._asdict(), DAY: row.day}
        for tag in [f"{name}={value}" for name, value in row.tags.items()] or [""]:
            add_to(found, tuple([{**names, TAG: tag}[name] for name in by]), Totals.of(row))
    return sorted(found.items(), key=lambda item: item[0])


def _report(query: Mapping[str, Any], first: date, last: date, groups: _Groups) -> Response:
    by = query["group_by"]
    sums = [sum_document(dict(zip(by, names, strict=True)), totals) for names, totals in groups]
    if query["format"] == "csv":
        return _csv((*by, *_NUMBERS), sums)
    return response({"from": first.isoformat(), "to": last.isoformat(), "group_by": list(by), "usage": sums})


def _csv(columns: Sequence[str], sums: Iterable[Mapping[str, Any]]) -> Response:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(columns)
    writer.writerows([_cell(one[name]) for name in columns] for one in sums)
    found = Response(text.getvalue(), mimetype=_CSV)
    found.headers["Content-Disposition"] = 'attachment; filename="usage.csv"'
    return found


def _cell(value: Any) -> Any:
    """The value; text that a spreadsheet would run as a formula has a quote before it."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
