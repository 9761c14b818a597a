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
