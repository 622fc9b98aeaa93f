"""Lists in pages, each with the cursor of the next."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from flask import Response
from marshmallow import fields, validate

from admin_app.http.responses import response
from shared.core.errors import Invalid, Problem
from shared.core.fields import Strict

DEFAULT_LIMIT = 50
MAX_LIMIT = 500


class PageQuery(Strict):
    """The query parameters of a list."""

    limit = fields.Integer(
        load_default=DEFAULT_LIMIT,
        validate=validate.Range(1, MAX_LIMIT),
        metadata={"description": "Maximum number of items."},
    )
    cursor = fields.String(
        load_default=None,
        validate=validate.Length(max=500),
        metadata={"description": "`next_cursor` of the previous page. Omit it for the first page."},
    )


class _Item(Protocol):
    """Anything with a time of creation."""

    @property
    def id(self) -> str: ...
    @property
    def created_at(self) -> float: ...


def page_of[Item: _Item](items: Sequence[Item], query: Mapping[str, Any]) -> tuple[list[Item], str | None]:
    """The items of one page in order of creation, and the cursor of the next page.

    A cursor holds the position of the last item of a page, so it stays valid when that item is deleted.
    Raises `Invalid` on any other cursor.
    """
    ordered = sorted(items, key=_position)
    if query["cursor"] is not None:
        after = _parse_cursor(query["cursor"])
        ordered = [item for item in ordered if _position(item) > after]
    page = ordered[: query["limit"]]
    more = len(ordered) > len(page)
    return page, f"{page[-1].created_at!r}~{page[-1].id}" if more else None


def page_response(name: str, documents: Sequence[Mapping[str, Any]], next_cursor: str | None) -> Response:
    """One page of `documents` under the member `name`."""
    return response({name: documents, "count": len(documents), "next_cursor": next_cursor})


def invalid_cursor() -> Invalid:
    """The error for a cursor that no page of this list has given."""
    return Invalid([Problem("/cursor", "Invalid cursor. Omit `cursor` to start from the first page.")])


def _position(item: _Item) -> tuple[float, str]:
    return item.created_at, item.id


def _parse_cursor(cursor: str) -> tuple[float, str]:
    created_at, separator, item_id = cursor.partition("~")
    try:
        moment = float(created_at)
    except ValueError:
        raise invalid_cursor() from None
    if not separator or moment != moment:  # NaN has no position
        raise invalid_cursor()
    return moment, item_id
