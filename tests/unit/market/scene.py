"""A plain book: whole yuan, whole slots, one grade, everything in Zhengzhou unless said."""

from __future__ import annotations

from typing import Any

from exchange.market.engine import BookState
from exchange.market.reference import ReferenceBook
from exchange.market.terms import OfferTerms, OrderTerms, PoolTerms
from exchange.topology.paths import LinkTerms, Network

YUAN = 1_000_000
SLOT = 1_000
NOW_S = SLOT * 3600
ENGINES = (ReferenceBook, BookState)

NETWORK = Network(
    [
        LinkTerms(1, "zhengzhou", "luoyang", 1_700, 4_000),
        LinkTerms(2, "zhengzhou", "xinyang", 4_400, 7_000),
        LinkTerms(3, "luoyang", "qingyang", 6_700, 13_000),
    ]
)


def pool(id_: int = 1, **facts: Any) -> PoolTerms:
    told: dict[str, Any] = {
        "provider": 900 + id_,
        "centre": 10 * id_,
        "region": "zhengzhou",
        "grade": 1,
        "units": 100,
    }
    return PoolTerms(id=id_, **(told | facts))


def offer(id_: int, price: int, *, pool_id: int = 1, entry: int | None = None, **facts: Any):
    told: dict[str, Any] = {
        "provider": 900 + pool_id,
        "units": 10,
        "start_slot": SLOT,
        "end_slot": SLOT + 100,
        "prices": (price * YUAN,),
    }
    return OfferTerms(id=id_, pool=pool_id, entry=(0, entry or id_), **(told | facts))


def order(id_: int, limit: int, units: int, *, batch: int = 1, **facts: Any) -> OrderTerms:
    told: dict[str, Any] = {
        "buyer": 500 + id_,
        "entry": (batch, id_),
        "limits": ((1, limit * YUAN),),
        "remaining_units": units,
        "duration_slots": 2,
        "earliest_slot": SLOT,
        "latest_slot": SLOT + 50,
    }
    return OrderTerms(id=id_, units=units, **(told | facts))


def book(engine: type, pools=(), offers=(), orders=(), claims=()):
    return engine(NETWORK, pools or [pool()], offers, orders, claims, now_s=NOW_S)


def told(fills) -> list[tuple[int, int, int, int]]:
    """(order, offer, units, yuan per unit-hour in micro) of each fill."""
    return [(f.order, f.offer, f.units, f.price_numerator // f.seconds) for f in fills]
