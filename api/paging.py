"""Lists: ``limit`` and an opaque ``cursor``, in the order of one unique column.

A page is a range of an index, so the tenth thousand costs what the first does.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from drf_spectacular.utils import inline_serializer
from rest_framework.fields import CharField
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from api.errors import CursorInvalid
from core.errors import InvalidInput

DEFAULT_LIMIT = 50
MAX_LIMIT = 200


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows of a list, and the cursor of the next ones (None at the end)."""

    rows: list[Any]
    next: str | None


def page(request: Request, queryset: QuerySet[Any], *, order: str = "-id") -> Page:
    """One page of ``queryset`` in ``order`` (a unique column; a leading ``-`` for newest first).

    Reads ``limit`` and ``cursor`` from the query. ``InvalidInput`` and ``CursorInvalid``.
    """
    descending, column = order.startswith("-"), order.lstrip("-")
    limit = _limit(request.query_params.get("limit"))
    cursor = request.query_params.get("cursor")
    rows = queryset.order_by(order)
    if cursor:
        after = _read_cursor(cursor, order, queryset)
        rows = rows.filter(**{f"{column}__{'lt' if descending else 'gt'}": after})
    found = list(rows[: limit + 1])
    more = len(found) > limit
    found = found[:limit]
    return Page(found, _cursor(order, getattr(found[-1], column)) if more else None)


def _limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_LIMIT
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= MAX_LIMIT):
        raise InvalidInput.of(
            "limit", f"must be a whole number from 1 to {MAX_LIMIT}", "Send such a number."
        )
    return int(text)


def _cursor(order: str, value: Any) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode([order, str(value)])).decode().rstrip("=")


def _read_cursor(cursor: str, order: str, queryset: QuerySet[Any]) -> Any:
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        stored_order, value = msgspec.json.decode(raw, type=tuple[str, str])
        if stored_order != order:
            raise ValueError("the order differs")
        field = queryset.model._meta.get_field(order.lstrip("-"))
        value = field.to_python(value)
        field.run_validators(value)
    except (ValueError, msgspec.DecodeError, ValidationError) as error:
        raise CursorInvalid("Send the `next` of the page before, unchanged.") from error
    return value


class CursorPages(BasePagination):
    """The same for generic list views; a view may set ``paging_order``."""

    def paginate_queryset(self, queryset: Any, request: Request, view: Any = None) -> list[Any]:
        """The rows of the page."""
        found = page(request, queryset, order=getattr(view, "paging_order", "-id"))
        self._next = found.next
        return found.rows

    def get_paginated_response(self, data: Any) -> Response:
        """``{"results": […], "next": cursor or null}``."""
        return Response({"results": data, "next": self._next})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """How the schema tells of a page."""
        return {
            "type": "object",
            "required": ["results", "next"],
            "properties": {
                "results": schema,
                "next": {
                    "type": ["string", "null"],
                    "description": "The `cursor` of the next page; null at the end.",
                },
            },
        }

    def get_schema_operation_parameters(self, view: Any) -> list[dict[str, Any]]:
        """``limit`` and ``cursor``."""
        return [
            {
                "name": "limit",
                "in": "query",
                "schema": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": MAX_LIMIT,
                    "default": DEFAULT_LIMIT,
                },
                "description": "Rows in a page.",
            },
            {
                "name": "cursor",
                "in": "query",
                "schema": {"type": "string"},
                "description": "The `next` of the page before.",
            },
        ]


@cache
def paged(serializer: type[BaseSerializer]) -> Any:
    """The schema of a page of ``serializer``, for ``extend_schema`` of a plain view."""
    name = serializer.__name__.removesuffix("Serializer")
    return inline_serializer(
        f"{name}Page",
        {
            "results": serializer(many=True),
            "next": CharField(
                allow_null=True, help_text="The `cursor` of the next page; null at the end."
            ),
        },
    )
