"""What a mechanism's result comes to: served, paid, used, waited for, turned away.

Welfare is what the served unit-hours are worth to their buyers less what their providers asked for
them at least; it is shared between buyers (value less payment) and providers (receipt less asked).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from core.slots import SECONDS_PER_SLOT
from demo.mechanisms.day import HOURS, Day, Deal, Result, Sale, Wanted

MICRO: Final = 1_000_000
ALL: Final = "all"
PERCENTILES: Final = (10, 50, 90)
WAIT_PERCENTILES: Final = (50, 90, 99)


class Broken(AssertionError):
    """A result that cannot be: money that appears, a pool sold twice, an order served twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Of one class, or of all. Money in yuan, prices in yuan per unit-hour, waits in hours."""

    orders: int
    unit_hours: int
    orders_served: float  # shares
    unit_hours_served: float
    buyers_cost: float
    sellers_surplus: float
    buyers_surplus: float
    welfare: float
    price_mean: float | None
    price_percentiles: dict[str, float]  # weighted by unit-hours
    utilisation: float  # of the day's unit-hours
    utilisation_by_hour: tuple[float, ...]
    wait_percentiles: dict[str, float]  # from the order to the start of delivery
    delay_percentiles: dict[str, float]  # of the start, after the earliest that was asked for
    delayed: dict[int, int]  # orders by the hours of that delay
    unserved_by_reason: dict[str, int]


@dataclass(frozen=True, slots=True)
class Measured:
    """A mechanism's figures by class, `all` among them."""

    mechanism: str
    by_class: dict[str, Figures]
    seconds: float
    notes: dict[str, object]

    def as_json(self) -> dict[str, Any]:
        """Plain data, without what changes from run to run."""
        notes = {name: note for name, note in self.notes.items() if not name.endswith("seconds")}
        classes = {name: asdict(figures) for name, figures in self.by_class.items()}
        return {"by_class": classes, "notes": notes}


def measure(day: Day, result: Result) -> Measured:
    """All figures. `Broken` where the result contradicts itself."""
    check(day, result)
    class_of = {want.order.id: want.resource_class for want in day.wanted}
    units = day.units_by_class
    by_class: dict[str, Figures] = {}
    for name in (*sorted(day.units_by_class), ALL):
        by_class[name] = _figures(
            day,
            wanted=[want for want in day.wanted if name in (ALL, want.resource_class)],
            deals=[deal for deal in result.deals if name in (ALL, class_of[deal.order])],
            sales=[sale for sale in result.sales if name in (ALL, day.class_of_pool[sale.pool])],
            refusals=result.refusals,
            units=sum(units.values()) if name == ALL else units[name],
        )
    return Measured(result.mechanism, by_class, result.seconds, result.notes)


def check(day: Day, result: Result) -> None:
    """Money in is money out; no pool and no offer is sold beyond its units; nobody pays more than
    its limit, gets more than it wants or anything outside its window, or sells below its price.
    """
    paid = sum(deal.paid_micro for deal in result.deals)
    received = sum(sale.received_micro for sale in result.sales)
    if paid != received:
        raise Broken(f"{paid} paid, {received} received")
    sold: Counter[tuple[str, int, int]] = Counter()
    for sale in result.sales:
        if sale.received_micro < sale.asked_micro:
            raise Broken(f"offer {sale.offer} sold below its price")
        for slot in range(sale.start_slot, sale.end_slot):
            sold["pool", sale.pool, slot] += sale.units
            sold["offer", sale.offer, slot] += sale.units
    units = {("pool", pool.id): pool.units for pool in day.pools}
    units |= {("offer", offered.terms.id): offered.terms.units for offered in day.offers}
    for (kind, id_, slot), taken in sold.items():
        if taken > units[kind, id_]:
            raise Broken(f"{kind} {id_} sold beyond its units in slot {slot}")
    _check_orders(day, result.deals)


def _check_orders(day: Day, deals: Iterable[Deal]) -> None:
    wanted = {want.order.id: want for want in day.wanted}
    got: Counter[int] = Counter()
    for deal in deals:
        want = wanted[deal.order]
        got[deal.order] += deal.units
        if deal.paid_micro > want.value_micro * deal.unit_hours:
            raise Broken(f"order {deal.order} pays more than its limit")
        if deal.start_slot < want.order.earliest_slot or deal.end_slot > want.order.latest_slot:
            raise Broken(f"order {deal.order} runs outside its window")
    for order, units in got.items():
        if units != wanted[order].order.units:
            raise Broken(f"order {order} got {units} units: all or nothing")


def _figures(
    day: Day,
    *,
    wanted: Sequence[Wanted],
    deals: Sequence[Deal],
    sales: Sequence[Sale],
    refusals: dict[int, str],
    units: int,
) -> Figures:
    served = {deal.order for deal in deals}
    want_of = {want.order.id: want for want in wanted}
    value = sum(want_of[deal.order].value_micro * deal.unit_hours for deal in deals)
    paid = sum(deal.paid_micro for deal in deals)
    received = sum(sale.received_micro for sale in sales)
    asked = sum(sale.asked_micro for sale in sales)
    hours = sum(deal.unit_hours for deal in deals)
    wanted_hours = sum(want.unit_hours for want in wanted)
    first_start: dict[int, int] = {}
    for deal in deals:
        first_start[deal.order] = max(deal.start_slot, first_start.get(deal.order, 0))
    by_hour = _by_hour(day, sales, units)
    waits = [
        (start - day.first_slot) - want_of[order].at_s / SECONDS_PER_SLOT
        for order, start in first_start.items()
    ]
    delays = [
        float(start - want_of[order].order.earliest_slot) for order, start in first_start.items()
    ]
    prices = [(d.paid_micro / d.unit_hours / MICRO, float(d.unit_hours)) for d in deals]
    reasons = Counter(
        refusals.get(want.order.id, "auction") for want in wanted if want.order.id not in served
    )
    return Figures(
        orders=len(wanted),
        unit_hours=wanted_hours,
        orders_served=len(served) / len(wanted) if wanted else 0.0,
        unit_hours_served=hours / wanted_hours if wanted_hours else 0.0,
        buyers_cost=paid / MICRO,
        sellers_surplus=(received - asked) / MICRO,
        buyers_surplus=(value - paid) / MICRO,
        welfare=(value - asked) / MICRO,
        price_mean=paid / hours / MICRO if hours else None,
        price_percentiles=percentiles(prices, PERCENTILES),
        utilisation=sum(by_hour) / HOURS,
        utilisation_by_hour=by_hour,
        wait_percentiles=percentiles([(wait, 1.0) for wait in waits], WAIT_PERCENTILES),
        delay_percentiles=percentiles([(delay, 1.0) for delay in delays], WAIT_PERCENTILES),
        delayed=dict(sorted(Counter(map(int, delays)).items())),
        unserved_by_reason=dict(sorted(reasons.items())),
    )


def _by_hour(day: Day, sales: Iterable[Sale], units: int) -> tuple[float, ...]:
    sold: dict[int, int] = defaultdict(int)
    for sale in sales:
        for slot in range(sale.start_slot, min(sale.end_slot, day.end_slot)):
            sold[slot] += sale.units
    return tuple(
        sold[slot] / units if units else 0.0 for slot in range(day.first_slot, day.end_slot)
    )


def percentiles(weighted: Sequence[tuple[float, float]], wanted: Sequence[int]) -> dict[str, float]:
    """The least values that at least so many hundredths of the weight do not exceed."""
    ordered = sorted(weighted)
    whole = sum(weight for _, weight in ordered)
    found: dict[str, float] = {}
    for percent in wanted if ordered else ():
        reached = 0.0
        for value, weight in ordered:
            reached += weight
            if reached * 100 >= whole * percent * (1 - 1e-12):
                found[f"p{percent}"] = value
                break
    return found
