"""Two equal books to measure in: the same pools, one with few live orders, one with many.

`few` is the general book, `many` the intelligent one. Every pool is far larger than what a run can
take, all offers cost one yuan, and the live orders rest at a hundredth of it, so that what is
matched never depends on which of them a run has taken before.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from demo.client import Api
from exchangectl.running import Running

GRADES = {"few": "general.kunpeng-920.8", "many": "intelligent.ascend-910b.1"}
POOLS = 40
UNITS = 20_000
PRICE, MARKETABLE, RESTING = "1.000000", "1.500000", "0.010000"
_AT_ONCE = 2_000


@dataclass
class Province:
    """A provider's capacity, a buyer with money, and how many orders rest in each book."""

    exchange: Running
    buyer_id: UUID
    buyer_key: str
    region: str = "zhengzhou"
    resting: dict[str, int] = field(default_factory=lambda: dict.fromkeys(GRADES, 0))

    def body(self, book: str, *, limit: str) -> dict[str, Any]:
        """An order for one unit and one hour, some hours from now."""
        start_at = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(hours=3)
        return {
            "grades": [{"grade": GRADES[book], "limit_price_per_unit_hour": limit}],
            "units": 1,
            "duration_hours": 1,
            "earliest_start_at": start_at.isoformat(),
            "latest_end_at": (start_at + timedelta(hours=12)).isoformat(),
        }


_prepared: dict[str, Province] = {}


def prepared(exchange: Running) -> Province:
    """The province of an exchange; laid when it is first asked for."""
    if exchange.base_url not in _prepared:
        _prepared[exchange.base_url] = _prepare(exchange)
    return _prepared[exchange.base_url]


def _prepare(exchange: Running) -> Province:
    """Register one provider and one buyer through the API; workers and beat are stopped."""
    exchange.manage("load_reference")
    staff = json.loads(exchange.manage("bootstrap_operator", "--json"))
    for name in ("beat", "general", "matcher"):
        exchange.children[name].stop()
    return asyncio.run(_register(exchange, staff))


async def _register(exchange: Running, staff: dict[str, Any]) -> Province:
    async with Api(exchange.base_url) as api:
        keys, ids = {}, {}
        for number, kind in enumerate(("provider", "buyer"), start=1):
            done = await api.post(
                "/registrations",
                {
                    "name": f"Bench {kind}",
                    "credit_code": _credit_code(number),
                    "kinds": [kind],
                    "region_code": "zhengzhou",
                    "owner_email": f"{kind}@bench.example",
                    "owner_name": kind,
                },
                key=None,
            )
            keys[kind], ids[kind] = done["api_key"], done["organisation"]["id"]
            await api.post("/organisation/submit", key=keys[kind])
            verify = f"/organisations/{ids[kind]}/verify"
            await api.post(verify, key=staff["market"]["key"])
        await api.post("/imports/capacity", _capacity(), key=keys["provider"])
        top_up = {
            "organisation_id": ids["buyer"],
            "amount": "100000000.000000",
            "currency": "CNY",
            "bank_reference": "bench",
        }
        await api.post("/top-ups", top_up, key=staff["clerk"]["key"])
    return Province(exchange, UUID(ids["buyer"]), keys["buyer"])


def _credit_code(number: int) -> str:
    from accounts.credit_code import made_up

    return made_up(number)


def _capacity() -> dict[str, Any]:
    start_at = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    pools = [(grade, f"{book}-{n}") for book, grade in GRADES.items() for n in range(POOLS)]
    return {
        "centres": [
            {
                "code": "bench",
                "name": "Bench",
                "region": "zhengzhou",
                "standard_racks": 1000,
                "pue": "1.2",
                "green_share": "0.4",
            }
        ],
        "pools": [
            {"centre": "bench", "code": code, "grade": grade, "units": UNITS}
            for grade, code in pools
        ],
        "offers": [
            {
                "centre": "bench",
                "pool": code,
                "units": UNITS,
                "start_at": start_at.isoformat(),
                "end_at": (start_at + timedelta(days=3)).isoformat(),
                "prices": [PRICE],
            }
            for _, code in pools
        ],
    }


def place(province: Province, book: str, count: int, *, limit: str) -> int:
    """Store `count` orders in this process as the order service does, but as sets; the book's id.

    This is how the stage is laid, and is never what is measured. Needs `django.setup()`.
    """
    from core import clock
    from exchange.capacity import inbox
    from exchange.capacity.models import BookEventKind
    from exchange.market import intake, services
    from exchange.market.models import Order
    from exchange.pricing import chart
    from ledger import services as ledger

    request = _request(province.body(book, limit=limit))
    account = chart.account(province.buyer_id, chart.AVAILABLE, province.region)
    book_id = 0
    for start in range(0, count, _AT_ONCE):
        now = clock.now()
        first = intake.order_of(request, buyer_id=province.buyer_id, now=now)
        orders = [first, *(_again(first) for _ in range(min(_AT_ONCE, count - start) - 1))]
        book_id = first.book_id
        Order.objects.bulk_create(orders, batch_size=1000)
        holds = [
            ledger.CreateHold(
                id=order.id,
                account=account,
                amount=order.held_micro,
                code=services.HOLD_CODE,
                reference=order.id,
                expires_at=None,
            )
            for order in orders
        ]
        results = ledger.post([(hold,) for hold in holds], now=now)
        assert all(result.ok for result in results), results[0]
        events = [inbox.InboxEvent(BookEventKind.ORDER_ENTERED, order.id) for order in orders]
        inbox.append(book_id=book_id, events=events, now=now)
    return book_id


def match(book_id: int) -> float:
    """Let the worker's function match all that waits in a book, here; seconds that it took."""
    from core import clock
    from exchange.market import matching

    started = time.perf_counter()
    while matching.match_book(book_id=book_id, now=clock.now()):
        pass
    return time.perf_counter() - started


def rest(province: Province, book: str, count: int) -> None:
    """Bring the number of live orders of a book up to `count`."""
    missing = count - province.resting[book]
    if missing > 0:
        match(place(province, book, missing, limit=RESTING))
        province.resting[book] = count


def _request(body: dict[str, Any]) -> Any:
    from api.v1.market.serializers import OrderInput

    checked = OrderInput(data=body)
    checked.is_valid(raise_exception=True)
    return checked.to_request()


def _again(order: Any) -> Any:
    from core.ids import new_id

    facts = {field.attname: getattr(order, field.attname) for field in order._meta.concrete_fields}
    return type(order)(**{**facts, "id": new_id()})
