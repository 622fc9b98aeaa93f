"""Lists in pages: how many, and where the last page ended."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from marshmallow import fields, validate

from shared.core.errors import Invalid, Problem
from shared.core.fields import Strict

DEFAULT = 50
MOST = 500


class PageQuery(Strict):
    """Which page of a list."""

    limit = fields.Integer(
        load_default=DEFAULT,
        validate=validate.Range(1, MOST),
        metadata={"description": "How many at most."},
    )
    cursor = fields.String(
        load_default=None,
        validate=validate.Length(max=500),
        metadata={"description": "next_cursor of the page before."},
    )


class Listed(Protocol):
    """What has a place in a list: the time of its creation, then its id."""

    @property
    def id(self) -> str: ...

    @property
    def created_at(self) -> float: ...


def page_of[Item: Listed](
    items: Sequence[Item], query: Mapping[str, int | str | None]
) -> tuple[list[Item], str | None]:
    """The items of one page, and the cursor of the next.

    A cursor holds the place of the last item shown, so it stays good when that item is deleted.
    Raises `Invalid` on a cursor that is not ours.
    """
    ordered = sorted(items, key=_place)
    if query["cursor"] is not None:
        after = _parse(str(query["cursor"]))
        ordered = [item for item in ordered if _place(item) > after]
    page = ordered[: int(query["limit"] or DEFAULT)]
    more = len(ordered) > len(page)
    return page, f"{page[-1].created_at!r}~{page[-1].id}" if more else None


def bad_cursor() -> Invalid:
    """What is wrong with a cursor that is not ours."""
    return Invalid([Problem("/cursor", "This cursor is not of this list. Begin without one.")])


def _place(item: Listed) -> tuple[float, str]:
    return item.created_at, item.id


def _parse(cursor: str) -> tuple[float, str]:
    created_at, separator, item_id = cursor.partition("~")
    try:
        place = float(created_at)
    except ValueError:
        raise bad_cursor() from None
    if not separator or place != place:  # NaN has no place
        raise bad_cursor()
    return place, item_id
