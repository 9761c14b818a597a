"""What the racing processes run; each sets Django up for itself, on the test's database.

Set up at import, since a process's arguments are read right after the function that takes them.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import django
from django.apps import apps

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
if not apps.ready:
    django.setup()


def place_orders(start: Any, buyers: Sequence[Any], requests: Sequence[Any], now: Any) -> None:
    """Place an order for each buyer, once ``start`` lets all processes go."""
    from django.db import transaction

    from exchange.market import services

    start.wait()
    for buyer, request in zip(buyers, requests, strict=True):
        with transaction.atomic():
            services.place_order(actor=buyer, request=request, now=now)


def match_until(start: Any, done: Any, book_id: int, now: Any, slow_writes: float = 0.0) -> None:
    """Match the book again and again until ``done``; a slow write is easier to be killed in."""
    import time

    from exchange.market import matching, writing

    if slow_writes:
        copy_trades = writing.copy_trades

        def copy_slowly(trades: Any) -> None:
            copy_trades(trades)
            time.sleep(slow_writes)

        writing.copy_trades = copy_slowly
    start.wait()
    while not done.is_set():
        if not matching.match_book(book_id=book_id, now=now):
            time.sleep(0.005)


def amend_orders(start: Any, buyer: Any, order_ids: Sequence[UUID], now: Any) -> None:
    """Amend each order again and again, up and down, until it is closed."""
    from django.db import transaction

    from core.errors import Conflict
    from exchange.market import services
    from exchange.market.errors import OrderClosed, OrderRefused
    from exchange.market.models import Order
    from exchange.market.requests import AmendRequest

    start.wait()
    for attempt in range(12):
        for order_id in order_ids:
            known = Order.objects.get(id=order_id)
            request = AmendRequest(
                version=known.version,
                named=frozenset({"units", "min_units"}),
                units=max(known.filled_units, 1) + (attempt * 7) % 5,
                min_units=1,
            )
            try:
                with transaction.atomic():
                    services.amend_order(actor=buyer, order_id=order_id, request=request, now=now)
            except (OrderClosed, OrderRefused, Conflict):
                continue


def roll_until_killed(start: Any, now: Any, slow: float) -> None:
    """Sweep the standing orders again and again; a slow placing is easier to be killed in."""
    import time

    from exchange.market.standing import rolling

    place = rolling.market.place_order

    def place_slowly(**facts: Any) -> Any:
        order = place(**facts)
        time.sleep(slow)
        return order

    rolling.market.place_order = place_slowly
    start.wait()
    while True:
        rolling.roll_due(now=now)


def advance_auction(start: Any, auction_id: UUID, now: Any, slow_writes: float = 0.0) -> None:
    """Take an auction as far as it goes; a slow write is easier to be killed in."""
    import time

    from exchange.market import writing
    from exchange.market.day_ahead import gate

    if slow_writes:
        copy_trades = writing.copy_trades

        def copy_slowly(trades: Any) -> None:
            copy_trades(trades)
            time.sleep(slow_writes)

        writing.copy_trades = copy_slowly
    start.wait()
    gate.advance(auction_id=auction_id, now=now)


def replay(book_id: int) -> list[tuple[UUID, UUID, int, int, int]]:
    """The trades that the reference engine makes of the book's admission log, from nothing."""
    from dataclasses import replace as changed

    from exchange.capacity.models import BookEvent, Pool
    from exchange.market import amendments, loading
    from exchange.market.models import Admission, Offer, Order, OrderAmendment
    from exchange.market.reference import ReferenceBook
    from exchange.market.terms import (
        OfferEntered,
        OrderAmended,
        OrderCancelled,
        OrderEntered,
        PoolChanged,
    )
    from exchange.topology.selectors import network

    pools = Pool.objects.select_related("centre").in_bulk()
    offers, orders = Offer.objects.in_bulk(), Order.objects.in_bulk()
    state, trades, entries = ReferenceBook(network()), [], {}
    halts: dict[UUID, list[str] | None] = {}
    book_pools: dict[int, str] = {}
    for admission in Admission.objects.filter(book=book_id).order_by("batch"):
        events: list[Any] = []
        rows = list(
            BookEvent.objects.filter(book=book_id, batch=admission.batch).order_by("position")
        )
        rows.sort(key=lambda row: row.kind != "trading_halted")
        for row in rows:
            entry = (admission.batch, row.position)
            if row.kind == "pool_changed":
                pool = pools[row.subject_id]
                book_pools[pool.id.int] = pool.centre.region_id
                terms = loading.pool_terms(pool, row.payload)
                is_open = not _is_halted(pool.centre.region_id, halts)
                events.append(PoolChanged(changed(terms, open=is_open)))
            elif row.kind == "offer_entered":
                offer = loading.offer_terms(offers[row.subject_id], entry=entry)
                events.append(OfferEntered(changed(offer, open=True)))
            elif row.kind == "order_entered":
                order = orders[row.subject_id]
                placed = OrderAmendment.objects.filter(order=order, number=0).first()
                order = amendments.with_terms(order, placed) if placed else order
                terms = loading.order_terms(order, entry=entry)
                entries[order.id] = entry
                terms = changed(terms, remaining_units=terms.units, spent_micro=0, anchor=None)
                events.append(OrderEntered(terms))
            elif row.kind == "order_amended":
                amendment = OrderAmendment.objects.get(id=row.payload["amendment"])
                order = amendments.with_terms(orders[row.subject_id], amendment)
                kept = entries[order.id] if amendment.keeps_entry else entry
                if amendment.state == "applied":
                    entries[order.id] = kept
                events.append(OrderAmended(loading.order_terms(order, entry=kept)))
            elif row.kind in ("trading_halted", "trading_resumed"):
                events.append(_halted_or_resumed(row, halts, book_pools))
            else:
                events.append(OrderCancelled(row.subject_id.int))
        result = state.apply(events, int(admission.admitted_at.timestamp()))
        trades += [
            (UUID(int=f.order), UUID(int=f.offer), f.units, f.start_slot, f.end_slot)
            for f in result.fills
        ]
    return trades


def _is_halted(region: str, halts: dict[UUID, list[str] | None]) -> bool:
    return any(regions is None or region in regions for regions in halts.values())


def _halted_or_resumed(row: Any, halts: dict[UUID, Any], pools: dict[int, str]) -> Any:
    from exchange.market.terms import TradingHalted, TradingResumed

    before = {pool for pool, region in pools.items() if not _is_halted(region, halts)}
    if row.kind == "trading_halted":
        halts[row.subject_id] = row.payload["regions"]
    else:
        del halts[row.subject_id]
    after = {pool for pool, region in pools.items() if not _is_halted(region, halts)}
    if row.kind == "trading_halted":
        return TradingHalted(tuple(before - after))
    return TradingResumed(tuple(after - before))


def place_until_refused(start: Any, buyer: Any, request: Any, now: Any, results: Any) -> None:
    """Place orders of one buyer until there are too many; how many is put into ``results``."""
    from django.db import transaction

    from exchange.market import services
    from exchange.market.orderly.errors import TooManyOpenOrders

    start.wait()
    placed = 0
    while placed < 50:
        try:
            with transaction.atomic():
                services.place_order(actor=buyer, request=request, now=now)
        except TooManyOpenOrders:
            break
        placed += 1
    results.put(placed)
