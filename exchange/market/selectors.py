"""Reads of the market: one's own orders, offers and trades, and market data without names."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Exists, F, OuterRef, Q, QuerySet

from accounts.actors import Actor
from core.slots import slot_of
from exchange.capacity.models import Book, BookEvent, Grade
from exchange.market.models import Admission, Offer, Order, OrderAmendment, OrderState, Trade

RESTING = (OrderState.OPEN, OrderState.PARTIALLY_FILLED)


def orders_visible_to(actor: Actor) -> QuerySet[Order]:
    """A buyer's own orders; all of them for the operator's people."""
    orders = Order.objects.select_related("book")
    return orders if actor.is_operator() else orders.filter(buyer_id=actor.organisation_id)


def amendments_of(order_id: UUID) -> QuerySet[OrderAmendment]:
    """The versions of an order that the caller may see, as placed first."""
    return OrderAmendment.objects.filter(order_id=order_id).select_related("order")


def offers_visible_to(actor: Actor) -> QuerySet[Offer]:
    """A provider's own offers; all of them for the operator's people."""
    offers = Offer.objects.select_related("pool__grade", "book")
    return offers if actor.is_operator() else offers.filter(provider_id=actor.organisation_id)


def trades_visible_to(actor: Actor) -> QuerySet[Trade]:
    """Trades in which one's organisation has a part; all of them for the operator's people."""
    trades = Trade.objects.select_related("grade", "pool__centre")
    if actor.is_operator():
        return trades
    own = Q(buyer_id=actor.organisation_id) | Q(seller_id=actor.organisation_id)
    return trades.filter(own)


def grade_codes() -> dict[int, str]:
    """The code of every grade by its id."""
    return dict(Grade.objects.values_list("id", "code"))


def books_with_work(*, now: datetime) -> list[int]:
    """Books with events that wait, a batch that is not written, or a new slot for on-demand."""
    waiting = BookEvent.objects.filter(book=OuterRef("pk"), batch=None)
    this_slot = Admission.objects.filter(
        book=OuterRef("pk"), batch=OuterRef("admitted"), admitted_at__gte=_slot_began(now)
    )
    on_demand = Order.objects.filter(book=OuterRef("pk"), state__in=RESTING, on_demand=True)
    return list(
        Book.objects.filter(
            Q(admitted__gt=F("version"))
            | Exists(waiting)
            | (~Exists(this_slot) & Exists(on_demand))
        )
        .order_by("id")
        .values_list("id", flat=True)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class BestPrice:
    """The touch of one grade in one region: the lowest offer and the highest limit, per hour."""

    grade: str
    region: str
    offer_price: Decimal | None
    offered_units: int
    bid_price: Decimal | None
    bid_units: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """All units at one price on one side."""

    side: str
    price: Decimal
    units: int
    count: int


# What an offer still has in every slot of a range, at its mean price there: no more than its pool
# has left. Offers and orders are found by their book.
_OFFERED = """
    SELECT o.id, g.code AS grade, c.region_id AS region,
           CASE WHEN cardinality(o.prices) = 1 THEN o.prices[1] ELSE
               (SELECT ceil(avg(o.prices[slot %% 24 + 1]) * 1000000) / 1000000
                  FROM generate_series(%(from)s::int, %(to)s::int - 1) AS slot)::numeric(18, 6)
           END AS price,
           LEAST(o.units, CASE WHEN resold.id IS NULL
                 THEN (p.book_terms->>'units')::int - COALESCE((
               SELECT max(u.units)
                 FROM exchange_poolday d, unnest(d.sold) WITH ORDINALITY AS u(units, hour)
                WHERE d.pool_id = p.id AND d.day BETWEEN %(from)s / 24 AND (%(to)s - 1) / 24
                  AND d.day * 24 + u.hour - 1 >= %(from)s AND d.day * 24 + u.hour - 1 < %(to)s
               ), 0)
                 ELSE resold.units - COALESCE((
               SELECT max(u.units)
                 FROM (SELECT sum(t.units) AS units
                         FROM generate_series(%(from)s::int, %(to)s::int - 1) AS slot
                         JOIN exchange_trade t ON t.resold_from_id = resold.id
                          AND t.start_slot <= slot
                         LEFT JOIN exchange_traderelease r ON r.trade_id = t.id
                        WHERE COALESCE(r.from_slot, t.end_slot) > slot GROUP BY slot) u
               ), 0) END) AS units
      FROM exchange_offer o
      JOIN exchange_pool p ON p.id = o.pool_id
      JOIN exchange_grade g ON g.id = p.grade_id
      JOIN exchange_centre c ON c.id = p.centre_id
      LEFT JOIN exchange_trade resold ON resold.id = o.resale_of_id
     WHERE o.state = 'open' AND o.start_slot <= %(from)s AND o.end_slot >= %(to)s
       AND o.book_id = ANY(%(books)s)
       AND p.book_terms <> '{}'
       AND (%(grade)s::text IS NULL OR g.code = %(grade)s)
       AND (%(region)s::text IS NULL OR c.region_id = %(region)s)
"""

# A bid stands in every region that it takes; without a list, in all. Of a range it is where its
# window meets it.
_BID = """
    SELECT o.id, g.code AS grade, o.limit_prices[array_position(o.grade_ids, g.id)] AS price,
           o.units - o.filled_units AS units, o.regions_allowed, o.regions_excluded
      FROM exchange_order o
      JOIN exchange_grade g ON g.id = ANY(o.grade_ids)
     WHERE o.state IN ('open', 'partially_filled') AND o.book_id = ANY(%(books)s)
       AND (NOT %(bids_meet)s OR o.earliest_slot < %(to)s AND o.latest_slot > %(from)s)
       AND (%(grade)s::text IS NULL OR g.code = %(grade)s)
"""

_BEST = f"""
    WITH offered AS ({_OFFERED}), bid AS ({_BID}),
    asks AS (
        SELECT DISTINCT ON (grade, region) grade, region, price,
               sum(units) OVER (PARTITION BY grade, region, price) AS units
          FROM offered WHERE units > 0 ORDER BY grade, region, price
    ), place AS (
        SELECT DISTINCT g.code AS grade, c.region_id AS region
          FROM exchange_pool p JOIN exchange_grade g ON g.id = p.grade_id
          JOIN exchange_centre c ON c.id = p.centre_id
         WHERE g.book_id = ANY(%(books)s)
           AND (%(grade)s::text IS NULL OR g.code = %(grade)s)
           AND (%(region)s::text IS NULL OR c.region_id = %(region)s)
    ), bids AS (
        SELECT DISTINCT ON (place.grade, place.region) place.grade, place.region, bid.price,
               sum(bid.units) OVER (PARTITION BY place.grade, place.region, bid.price) AS units
          FROM place JOIN bid ON bid.grade = place.grade
           AND (bid.regions_allowed IS NULL OR place.region = ANY(bid.regions_allowed))
           AND NOT place.region = ANY(bid.regions_excluded)
         ORDER BY place.grade, place.region, bid.price DESC
    )
    SELECT place.grade, place.region, asks.price, COALESCE(asks.units, 0), bids.price,
           COALESCE(bids.units, 0)
      FROM place
      LEFT JOIN asks USING (grade, region)
      LEFT JOIN bids USING (grade, region)
     WHERE asks.price IS NOT NULL OR bids.price IS NOT NULL
     ORDER BY place.grade, place.region
"""  # noqa: S608 - composed of the constants above

_DEPTH = f"""
    WITH offered AS ({_OFFERED}), bid AS ({_BID})
    (SELECT 'offer', price, sum(units), count(*) FROM offered WHERE units > 0
      GROUP BY price ORDER BY price LIMIT %(levels)s)
    UNION ALL
    (SELECT 'bid', price, sum(units), count(*) FROM bid
      WHERE (%(region)s::text IS NULL OR regions_allowed IS NULL
             OR %(region)s = ANY(regions_allowed))
        AND (%(region)s::text IS NULL OR NOT %(region)s = ANY(regions_excluded))
      GROUP BY price ORDER BY price DESC LIMIT %(levels)s)
"""  # noqa: S608 - composed of the constants above


def best_prices(
    *, at: datetime, grade: str | None, region: str | None, book_id: int | None = None
) -> list[BestPrice]:
    """The touch of every grade and region with an offer for the slot of ``at`` or a resting bid;
    of one book where it is named. Two queries.
    """
    slots = range(slot_of(at), slot_of(at) + 1)
    with connection.cursor() as cursor:
        cursor.execute(_BEST, _scope(slots, grade, region, book_id))
        return [
            BestPrice(
                grade=of_grade,
                region=in_region,
                offer_price=offer,
                offered_units=offered,
                bid_price=bid,
                bid_units=bids,
            )
            for of_grade, in_region, offer, offered, bid, bids in cursor.fetchall()
        ]


def depth(
    *,
    at: datetime,
    grade: str,
    region: str | None,
    levels: int = 20,
    slots: range | None = None,
) -> list[Level]:
    """The best price levels of a grade: offers rising, then bids falling. Two queries.

    For the slot of ``at``, with all bids; or for ``slots``: what offers have in all of them, at
    their mean price, and the bids whose window meets them.
    """
    chosen = slots or range(slot_of(at), slot_of(at) + 1)
    values = _scope(chosen, grade, region) | {"levels": levels, "bids_meet": slots is not None}
    with connection.cursor() as cursor:
        cursor.execute(_DEPTH, values)
        return [
            Level(side=side, price=price, units=int(units), count=count)
            for side, price, units, count in cursor.fetchall()
        ]


def last_trades(*, grade: str | None, region: str | None) -> QuerySet[Trade]:
    """Trades of anybody, without names; the newest first."""
    trades = Trade.objects.select_related("grade")
    if grade is not None:
        trades = trades.filter(grade__code=grade)
    if region is not None:
        trades = trades.filter(seller_region=region)
    return trades


@dataclass(frozen=True, slots=True, kw_only=True)
class Utilisation:
    """Unit-hours of a class in a city: registered, and sold by trades that were not given back."""

    region: str
    resource_class: str
    registered_unit_hours: int
    sold_unit_hours: int


_UTILISATION = """
    SELECT c.region_id, g.resource_class, sum(p.units) * (%(to)s - %(from)s),
           COALESCE(sum(sold.unit_hours), 0)
      FROM exchange_pool p
      JOIN exchange_centre c ON c.id = p.centre_id
      JOIN exchange_grade g ON g.id = p.grade_id
      LEFT JOIN LATERAL (
           SELECT sum(u.units) AS unit_hours
             FROM exchange_poolday d, unnest(d.sold) WITH ORDINALITY AS u(units, hour)
            WHERE d.pool_id = p.id AND d.day BETWEEN %(from)s / 24 AND %(to)s / 24
              AND d.day * 24 + u.hour - 1 >= %(from)s AND d.day * 24 + u.hour - 1 < %(to)s
           ) sold ON true
     WHERE p.state <> 'withdrawn'
     GROUP BY c.region_id, g.resource_class
     ORDER BY c.region_id, g.resource_class
"""


def utilisation(*, from_slot: int, to_slot: int) -> list[Utilisation]:
    """Sold against registered unit-hours by city and class over ``[from_slot, to_slot)``."""
    with connection.cursor() as cursor:
        cursor.execute(_UTILISATION, {"from": from_slot, "to": to_slot})
        return [
            Utilisation(
                region=region,
                resource_class=resource_class,
                registered_unit_hours=int(registered),
                sold_unit_hours=int(sold),
            )
            for region, resource_class, registered, sold in cursor.fetchall()
        ]


def _scope(
    slots: range, grade: str | None, region: str | None, book_id: int | None = None
) -> dict[str, Any]:
    books = Book.objects.order_by("id")
    if grade is not None:
        books = books.filter(grades__code=grade)
    if book_id is not None:
        books = books.filter(id=book_id)
    return {
        "books": list(books.values_list("id", flat=True)),
        "from": slots.start,
        "to": slots.stop,
        "bids_meet": False,
        "grade": grade,
        "region": region,
    }


def _slot_began(now: datetime) -> datetime:
    return now.replace(minute=0, second=0, microsecond=0)
