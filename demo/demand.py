"""The built-in demand: 5,000 orders drawn from the buyers' wants. Pure, and equal for equal input.

What is drawn, and how (`docs/demo.md` says the same for people):

* *When*: 8 % of the orders are day contracts, placed in the first two hours for most of the day.
  The others arrive through the day, by the scenario's share for each local hour.
* *Who and what*: a want of a buyer, by weight within the class; units and duration log-evenly
  from its ranges; each limit a factor of the grade's reference price, evenly from its range; one
  to all of its grades, the first ones drawn by how many units of them there are.
* *How*: `gtc` 55 %, `gtd` 15 %, `ioc` 20 %, `fok` 10 %; 40 % of the day's orders on demand; some
  with smallest units, a ceiling on the cost, or a smallest reliability.
* *How much*: units are scaled by class so that, of the supply's unit-hours of the day, the day
  contracts ask for 53 % and the other orders for 28 %; limits, windows and placements then turn
  some of it away.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal
from itertools import accumulate
from math import exp, log
from typing import Final

from demo.scenario import Buyer, Scenario, Want

SEED: Final = 20261123
SECONDS_PER_HOUR: Final = 3600
HOURS: Final = 24
OPENING_S: Final = 2 * SECONDS_PER_HOUR
DAY_CONTRACT_SHARE: Final = 0.08
# The last orders come a little before the day is closed.
LAST_ORDER_S: Final = 23.1 * SECONDS_PER_HOUR
ON_DEMAND_SHARE: Final = 0.40
TIME_IN_FORCE: Final = {"gtc": 0.55, "gtd": 0.15, "ioc": 0.20, "fok": 0.10}
# Unit-hours asked for within the day, as shares of what all pools have in the day.
DAY_CONTRACT_LOAD: Final = 0.53
LOAD_THROUGH_THE_DAY: Final = 0.28
_PRICE_STEP: Final = Decimal("0.000001")


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedOrder:
    """An order that is to be placed `at_s` seconds after midnight."""

    number: int
    buyer: str
    buyer_region: str
    at_s: float
    resource_class: str
    limits: tuple[tuple[str, Decimal], ...]  # (grade, yuan per unit-hour)
    units: int
    duration_slots: int
    start_hour: int  # the earliest start, in hours after midnight
    slack_slots: int = 0
    at_least_half: bool = False
    has_ceiling: bool = False
    on_demand: bool = False
    placement: str = "anywhere"
    max_rtt_ms: str | None = None
    regions_allowed: tuple[str, ...] = ()
    min_green_share: str = "0"
    min_reliability: str = "0"
    data_in_gb: int = 0
    accepts_reclaimable: bool = False
    time_in_force: str = "gtc"

    @property
    def min_units(self) -> int:
        """The smallest acceptable units: half of what is asked for, or one."""
        return (self.units + 1) // 2 if self.at_least_half else 1

    @property
    def max_cost(self) -> Decimal | None:
        """The ceiling on the whole order: all of it at its dearest limit."""
        if not self.has_ceiling:
            return None
        # On demand the rest of the hour in which it starts comes on top.
        hours = self.duration_slots + self.on_demand
        dearest = max(limit for _, limit in self.limits)
        return (dearest * self.units * hours).quantize(_PRICE_STEP, ROUND_HALF_UP)

    @property
    def unit_hours_in_day(self) -> int:
        """Unit-hours that an immediate fill would deliver before the day ends."""
        end_hour = min(self.start_hour + self.duration_slots, HOURS)
        return self.units * max(0, end_hour - self.start_hour)


def plan(scenario: Scenario, *, seed: int = SEED, orders: int | None = None) -> list[PlannedOrder]:
    """The day's orders in the sequence in which they are placed."""
    dice = random.Random(seed)  # noqa: S311 - a rehearsal wants to be repeatable
    total = scenario.orders if orders is None else orders
    drawn: list[PlannedOrder] = []
    for resource_class, count in _shares(scenario.orders_by_class, total).items():
        supply = scenario.units_by_class[resource_class] * HOURS
        contracts = round(count * DAY_CONTRACT_SHARE)
        for is_contract, number, load in (
            (True, contracts, DAY_CONTRACT_LOAD),
            (False, count - contracts, LOAD_THROUGH_THE_DAY),
        ):
            raw = [
                _draw(dice, scenario, buyer, want, is_contract=is_contract)
                for buyer, want in _wants(dice, scenario, resource_class, number)
            ]
            drawn += scaled(raw, round(supply * load), scenario.largest_pool)
    drawn.sort(key=lambda order: order.at_s)
    return [replace(order, number=number) for number, order in enumerate(drawn, start=1)]


def _shares(by_class: Mapping[str, int], total: int) -> dict[str, int]:
    """`total` split as `by_class` is; what whole numbers leave over goes to the first class."""
    whole = sum(by_class.values())
    split = {name: total * count // whole for name, count in by_class.items()}
    first = next(iter(split))
    split[first] += total - sum(split.values())
    return split


def _wants(
    dice: random.Random, scenario: Scenario, resource_class: str, count: int
) -> list[tuple[Buyer, Want]]:
    pairs = [
        (buyer, want)
        for buyer in scenario.buyers
        for want in buyer.wants
        if want.resource_class == resource_class
    ]
    return dice.choices(pairs, weights=[want.weight for _, want in pairs], k=count)


def _draw(
    dice: random.Random, scenario: Scenario, buyer: Buyer, want: Want, *, is_contract: bool
) -> PlannedOrder:
    units = _log_evenly(dice, want.units)
    if is_contract:
        at_s = OPENING_S * dice.random()
        start_hour, slack = int(at_s // SECONDS_PER_HOUR) + 1, dice.randint(1, 2)
        duration = dice.randint(18, 23)
        on_demand, time_in_force = False, "gtc"
    else:
        at_s = _arrival(dice, scenario.orders_by_local_hour)
        time_in_force = _pick(dice, TIME_IN_FORCE)
        on_demand = dice.random() < ON_DEMAND_SHARE
        hour = int(at_s // SECONDS_PER_HOUR)
        start_hour = hour if on_demand else hour + 1 + dice.choice((0, 0, 0, 1, 1, 2, 4))
        slack = dice.randint(*want.slack_slots)
        duration = _log_evenly(dice, want.duration_slots)
    extra = dice.random()
    return PlannedOrder(
        number=0,
        buyer=buyer.party.code,
        buyer_region=buyer.party.region,
        at_s=at_s,
        resource_class=want.resource_class,
        limits=_limits(dice, scenario, want),
        units=units,
        duration_slots=duration,
        start_hour=start_hour,
        slack_slots=slack,
        at_least_half=time_in_force != "fok" and extra < 0.25,
        has_ceiling=extra > 0.95,
        on_demand=on_demand,
        placement=want.placement,
        max_rtt_ms=want.max_rtt_ms,
        regions_allowed=want.regions_allowed,
        min_green_share=want.min_green_share,
        min_reliability="0.9000" if dice.random() < 0.05 else "0",
        data_in_gb=want.data_in_gb,
        accepts_reclaimable=want.accepts_reclaimable,
        time_in_force=time_in_force,
    )


def _limits(dice: random.Random, scenario: Scenario, want: Want) -> tuple[tuple[str, Decimal], ...]:
    """One to all of the want's grades, likelier the more of them there is, each with a limit."""
    known = [grade for grade in want.grades if grade in scenario.units_by_grade]
    chosen: list[str] = []
    for _ in range(dice.randint(1, len(known))):
        rest = [grade for grade in known if grade not in chosen]
        chosen += dice.choices(rest, weights=[scenario.units_by_grade[g] for g in rest])
    low, high = want.limit_factor
    factor = low + (high - low) * Decimal(str(round(dice.random(), 4)))
    return tuple(
        (grade, (scenario.reference_prices[grade] * factor).quantize(_PRICE_STEP))
        for grade in chosen
    )


def scaled(
    orders: Sequence[PlannedOrder], unit_hours: int, largest_pool: Mapping[str, int]
) -> list[PlannedOrder]:
    """Units multiplied by one factor so that the day's demand comes to `unit_hours`."""
    low, high = 0.0, 64.0
    for _ in range(40):
        middle = (low + high) / 2
        demand = sum(_sized(order, middle, largest_pool).unit_hours_in_day for order in orders)
        low, high = (middle, high) if demand < unit_hours else (low, middle)
    return [_sized(order, low, largest_pool) for order in orders]


def _sized(order: PlannedOrder, factor: float, largest_pool: Mapping[str, int]) -> PlannedOrder:
    """The order with `factor` times the units: at least one, at most half of a pool it may take."""
    most = max(1, max(largest_pool[grade] for grade, _ in order.limits) // 2)
    return replace(order, units=min(most, max(1, round(order.units * factor))))


def _arrival(dice: random.Random, by_hour: Sequence[float]) -> float:
    """Seconds after midnight: an hour by its share, evenly within it."""
    hour = dice.choices(range(len(by_hour)), cum_weights=list(accumulate(by_hour)))[0]
    return min((hour + dice.random()) * SECONDS_PER_HOUR, LAST_ORDER_S - dice.random())


def _log_evenly(dice: random.Random, bounds: tuple[int, int]) -> int:
    low, high = bounds
    return max(low, min(high, round(exp(dice.uniform(log(low), log(high + 0.49))))))


def _pick(dice: random.Random, shares: Mapping[str, float]) -> str:
    return dice.choices(list(shares), weights=list(shares.values()))[0]
