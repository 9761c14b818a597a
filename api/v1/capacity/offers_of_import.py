"""How the bulk import hands the offers of a file to the market."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime

from accounts.actors import Actor
from core.errors import FieldProblem
from core.money import to_micro
from core.slots import slot_start_at
from exchange.capacity.import_rows import RowProblem
from exchange.capacity.importing import CreateOffers, OfferRow
from exchange.market import services
from exchange.market.errors import OfferRefused
from exchange.market.requests import OfferRequest

_AT_ONCE = 4_000
_INDEX = re.compile(r"offers\[(\d+)\]\.(.*)")


def create_offers_for(actor: Actor, now: datetime) -> CreateOffers:
    """The market's way to take the offers of a file: it makes them, or says which rows are bad."""

    def create(rows: Sequence[OfferRow]) -> Iterable[RowProblem]:
        problems: list[RowProblem] = []
        for start in range(0, len(rows), _AT_ONCE):
            batch = rows[start : start + _AT_ONCE]
            try:
                services.create_offers(
                    actor=actor, requests=[_request(row) for row in batch], now=now
                )
            except OfferRefused as refused:
                problems += [_problem(batch, field) for field in refused.fields]
        return problems

    return create


def _request(row: OfferRow) -> OfferRequest:
    values = row.values
    return OfferRequest(
        pool=row.pool.id,
        units=values["units"],
        start_at=slot_start_at(values["start_at"]),
        end_at=slot_start_at(values["end_at"]),
        prices_micro=tuple(to_micro(price) for price in values["prices"]),
        min_duration_hours=values["min_duration_slots"],
        max_duration_hours=values["max_duration_slots"],
        min_chunk_units=values["min_chunk_units"],
        is_reclaimable=values["is_reclaimable"],
        reclaim_notice_seconds=values["reclaim_notice_seconds"],
    )


def _problem(rows: Sequence[OfferRow], bad: FieldProblem) -> RowProblem:
    """The market names an offer by its index, and a single one not at all."""
    found = _INDEX.fullmatch(bad.field)
    index, field = (int(found[1]), found[2]) if found else (0, bad.field)
    name = field.replace("_duration_hours", "_duration_slots")
    return RowProblem(rows[index].row, "offer", name, bad.rule, bad.mend)
