"""The market's stream: trades, index, halts in order; best prices and depth as they stand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.http import StreamingHttpResponse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request

from api import streaming
from api.streaming import Seen, StreamQuery
from api.v1.market import serializers as shapes
from api.views import ApiView
from core import clock
from core import selectors as events
from core.errors import InvalidInput
from core.selectors import NumberedEvent
from exchange.capacity.models import Grade
from exchange.market import snapshots
from exchange.market.snapshots import Mark, Snapshot

_BATCH = 500
_KINDS = ("market.trade", "market.index", "market.halted", "market.resumed")


class MarketStreamQuery(StreamQuery):
    """What to follow."""

    grade = serializers.CharField(
        max_length=64, required=False, help_text="This grade alone; its depth is then sent too."
    )
    region = serializers.CharField(max_length=32, required=False)


class MarketStreamView(ApiView):
    """Server-sent events of the market."""

    scope = "orders"

    @extend_schema(
        operation_id="market_stream",
        summary="Follow the market",
        parameters=[MarketStreamQuery, streaming.LAST_EVENT_ID],
        responses=streaming.RESPONSES,
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        """Everybody's market: never who stands behind an order, an offer or a trade.

        In order and without a gap, after `Last-Event-ID`: `market.trade`, `market.index`,
        `market.halted`, `market.resumed`. As they stand, at the beginning and when they change:
        `market.best_prices` of each book and, where a grade is named, `market.depth`; between two
        of them at least a second passes. Ends after some seconds; come again with the last id.
        """
        query = self.query(MarketStreamQuery)
        grades = {g.code: g for g in Grade.objects.select_related("book").order_by("id")}
        if query.get("grade") is not None and query["grade"] not in grades:
            raise InvalidInput.of("grade", "unknown grade", "GET /api/v1/grades lists them.")
        follower = _Follower(grades, query.get("grade"), query.get("region"))
        return streaming.answer(request, query, follower.look)


class _Follower:
    """One reader: what it follows, and which snapshots it has seen."""

    def __init__(self, grades: dict[str, Grade], grade: str | None, region: str | None) -> None:
        self._grade, self._region = grade, region
        self._codes = {one.id: code for code, one in grades.items()}
        wanted = [one for code, one in grades.items() if grade in (None, code)]
        self._books = {one.book_id: one.book.code for one in wanted}
        self._sent: dict[int, Mark] = {}

    def look(self, position: int) -> Seen:
        """Two queries, and those of snapshots that nobody took yet."""
        # First the marks: what a snapshot shows is then no older than the events after it.
        now = clock.now()
        marks = snapshots.marks(at=now)
        found = events.events_after(position, organisation_id=None, limit=_BATCH)
        position = found[-1].position if found else position
        messages = [
            streaming.message(event.position, event.kind, self._data(event))
            for event in found
            if event.kind in _KINDS and self._follows(event)
        ]
        for book_id in self._books:
            if book_id in marks and self._sent.get(book_id) != marks[book_id]:
                messages += self._snapshots(book_id, marks[book_id], position, now)
        return Seen(messages, position, more=len(found) == _BATCH)

    def _follows(self, event: NumberedEvent) -> bool:
        told = event.payload
        if "book" in told:
            regions = told["regions"]
            of_region = self._region is None or regions is None or self._region in regions
            return told["book"] in self._books.values() and of_region
        code = self._codes.get(told["grade_id"])
        return self._grade in (None, code) and self._region in (None, told["region"])

    def _data(self, event: NumberedEvent) -> dict[str, Any]:
        told = dict(event.payload)
        if "grade_id" in told:
            told["grade"] = self._codes.get(told.pop("grade_id"))
        return {"id": event.subject_id, "occurred_at": event.occurred_at} | told

    def _snapshots(self, book_id: int, mark: Mark, position: int, now: datetime) -> Iterator[bytes]:
        best = snapshots.best_prices(book_id, mark, at=now)
        self._sent[book_id] = best.mark
        rows = [
            row
            for row in best.rows
            if self._grade in (None, row.grade) and self._region in (None, row.region)
        ]
        shown = shapes.BestPriceSerializer(rows, many=True).data
        about: dict[str, Any] = {"book": self._books[book_id], "results": shown}
        yield self._snapshot("market.best_prices", best, about, position)
        if self._grade is not None:
            levels = snapshots.depth(self._grade, self._region, mark, at=now)
            self._sent[book_id] = min(best.mark, levels.mark)
            shown = shapes.LevelSerializer(levels.rows, many=True).data
            about = {"grade": self._grade, "region": self._region, "levels": shown}
            yield self._snapshot("market.depth", levels, about, position)

    def _snapshot(
        self, kind: str, snapshot: Snapshot, about: dict[str, Any], position: int
    ) -> bytes:
        version, _slot = snapshot.mark
        return streaming.message(position, kind, {"version": version, "at": snapshot.at} | about)
