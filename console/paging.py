"""Pages of long lists: newest first, by key, never by offset."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.db.models import Model, QuerySet
from django.http import HttpRequest

PAGE_ROWS = 50
_Row = TypeVar("_Row", bound=Model)


@dataclass(frozen=True, slots=True)
class Page(Generic[_Row]):
    """Rows of one page and the query strings that lead to the next and back to the first."""

    rows: list[_Row]
    next_query: str
    first_query: str
    is_first: bool


def newest_first(
    rows: QuerySet[_Row], request: HttpRequest, *, key: Callable[[str], Any], by: str = "pk"
) -> Page[_Row]:
    """The page that ``?before=`` asks for; ``key`` reads it, a bad value means the first page."""
    asked = request.GET.get("before", "")
    try:
        before = key(asked) if asked else None
    except ValueError:
        before = None
    if before is not None:
        rows = rows.filter(**{f"{by}__lt": before})
    found = list(rows.order_by(f"-{by}")[: PAGE_ROWS + 1])
    parameters = request.GET.copy()
    parameters.pop("before", None)
    first_query = parameters.urlencode()
    more = len(found) > PAGE_ROWS
    found = found[:PAGE_ROWS]
    if more:
        parameters["before"] = str(getattr(found[-1], by))
    return Page(
        rows=found,
        next_query=parameters.urlencode() if more else "",
        first_query=first_query,
        is_first=before is None,
    )
