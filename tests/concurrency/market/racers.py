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
    from exchange.market import loading
    from exchange.market.models import Admission, Offer, Order
    from exchange.market.reference import ReferenceBook
    from exchange.market.terms import OfferEntered, OrderCancelled, OrderEntered, PoolChanged
    from exchange.topology.selectors import network

    pools = Pool.objects.select_related("centre").in_bulk()
    offers, orders = Offer.objects.in_bulk(), Order.objects.in_bulk()
    state, trades = ReferenceBook(network()), []
    for admission in Admission.objects.filter(book=book_id).order_by("batch"):
        events: list[Any] = []
        rows = BookEvent.objects.filter(book=book_id, batch=admission.batch).order_by("position")
        for row in rows:
            entry = (admission.batch, row.position)
            if row.kind == "pool_changed":
                pool = pools[row.subject_id]
                events.append(PoolChanged(loading.pool_terms(pool, row.payload)))
            elif row.kind == "offer_entered":
                offer = loading.offer_terms(offers[row.subject_id], entry=entry)
                events.append(OfferEntered(changed(offer, open=True)))
            elif row.kind == "order_entered":
                terms = loading.order_terms(orders[row.subject_id], entry=entry)
                terms = changed(terms, remaining_units=terms.units, spent_micro=0, anchor=None)
                events.append(OrderEntered(terms))
            else:
                events.append(OrderCancelled(row.subject_id.int))
        result = state.apply(events, int(admission.admitted_at.timestamp()))
        trades += [
            (UUID(int=f.order), UUID(int=f.offer), f.units, f.start_slot, f.end_slot)
            for f in result.fills
        ]
    return trades
