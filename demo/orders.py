"""The buyers: orders placed when the plan says, some of them cancelled, and what became of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil, floor
from typing import Any, Final

from demo.client import Api, Refused
from demo.clockwork import DayClock
from demo.demand import PlannedOrder
from demo.progress import Stage
from demo.registration import text

AT_ONCE: Final = 8
# Every so many-th order that may rest is taken back by its buyer, so long after it was placed.
CANCEL_EVERY: Final = 40
CANCEL_AFTER_HOURS: Final = 1.5
_SOON_HOURS: Final = 0.25
_GOOD_TILL_HOURS: Final = 3


@dataclass
class Placed:
    """What the buyers remember of the day."""

    planned: dict[str, PlannedOrder] = field(default_factory=dict)  # by the order's id
    placed_at: dict[str, datetime] = field(default_factory=dict)
    refusals: list[str] = field(default_factory=list)
    cancels: int = 0
    seconds_behind: float = 0.0  # the most that an order was sent after its hour


def order_body(planned: PlannedOrder, clock: DayClock, now: datetime) -> dict[str, Any]:
    """The order as the API takes it, for a placement at `now`.

    An order that comes later than planned asks for the next whole hour instead of a past one; one
    hour of slack is the least, since an hour of the compressed day passes in seconds.
    """
    hours = (now - clock.midnight) / timedelta(hours=1)
    if planned.on_demand:
        earliest = None
        latest_hour = floor(hours) + 1 + planned.duration_slots + max(1, planned.slack_slots)
    else:
        earliest = max(planned.start_hour, ceil(hours + _SOON_HOURS))
        latest_hour = earliest + planned.duration_slots + max(1, planned.slack_slots)
    body: dict[str, Any] = {
        "grades": [
            {"grade": grade, "limit_price_per_unit_hour": str(limit)}
            for grade, limit in planned.limits
        ],
        "units": planned.units,
        "min_units": planned.min_units,
        "duration_hours": planned.duration_slots,
        "on_demand": planned.on_demand,
        "earliest_start_at": text(clock.at(earliest)) if earliest is not None else None,
        "latest_end_at": text(clock.at(latest_hour)),
        "placement": planned.placement,
        "time_in_force": planned.time_in_force,
        "client_reference": f"demo-{planned.number}",
    }
    if planned.time_in_force == "gtd":
        body["good_till_at"] = text(now + timedelta(hours=_GOOD_TILL_HOURS))
    return {**body, **_constraints(planned)}


def _constraints(planned: PlannedOrder) -> dict[str, Any]:
    """Only what the order asks for; everything else keeps its default."""
    asked: dict[str, Any] = {}
    if planned.max_rtt_ms is not None:
        asked |= {"max_rtt_ms": planned.max_rtt_ms, "rtt_region": planned.buyer_region}
    if planned.regions_allowed:
        asked["regions_allowed"] = list(planned.regions_allowed)
    if planned.data_in_gb:
        asked["data_region"] = planned.buyer_region
        asked["data_in_gb_per_unit"] = str(planned.data_in_gb)
    if planned.min_green_share != "0":
        asked["min_green_share"] = planned.min_green_share
    if planned.min_reliability != "0":
        asked["min_reliability"] = planned.min_reliability
    if planned.accepts_reclaimable:
        asked["accepts_reclaimable"] = True
    if planned.max_cost is not None:
        asked["max_cost"] = str(planned.max_cost)
    return asked


async def place_all(
    api: Api,
    plan: Sequence[PlannedOrder],
    keys: Mapping[str, str],
    clock: DayClock,
    stage: Stage,
) -> Placed:
    """Place every order at its hour, at most so many at once; refusals are kept, not raised."""
    placed = Placed()
    free = asyncio.Semaphore(AT_ONCE)
    async with asyncio.TaskGroup() as group:

        async def place(planned: PlannedOrder) -> None:
            try:
                body = order_body(planned, clock, clock.now())
                order = await api.post("/orders", body, key=keys[planned.buyer])
            except Refused as refused:
                placed.refusals.append(f"order {planned.number}: {refused}")
            else:
                placed.planned[order["id"]] = planned
                placed.placed_at[order["id"]] = datetime.fromisoformat(order["placed_at"])
                if planned.number % CANCEL_EVERY == 0 and planned.time_in_force in ("gtc", "gtd"):
                    group.create_task(_cancel(api, order["id"], keys[planned.buyer], clock, placed))
            finally:
                free.release()
                stage.advance(1, _lag(planned, clock))

        for planned in plan:
            await clock.sleep_until(planned.at_s / 3600)
            await free.acquire()
            late_s = -clock.wall_seconds_until(planned.at_s / 3600)
            placed.seconds_behind = max(placed.seconds_behind, late_s)
            group.create_task(place(planned))
    return placed


def _lag(planned: PlannedOrder, clock: DayClock) -> str:
    late_s = -clock.wall_seconds_until(planned.at_s / 3600)
    hours = int(planned.at_s // 3600)
    return f"{hours:02d}:00" + (f", {late_s:.0f} s behind" if late_s > 2 else "")


async def _cancel(api: Api, order_id: str, key: str, clock: DayClock, placed: Placed) -> None:
    await clock.sleep_until(clock.hours() + CANCEL_AFTER_HOURS)
    try:
        await api.post(f"/orders/{order_id}/cancel", key=key)
        placed.cancels += 1
    except Refused as refused:
        if refused.status != 409:  # filled or expired before: nothing to take back
            placed.refusals.append(f"cancel: {refused}")


async def outcomes(api: Api, path: str, keys: Sequence[str]) -> list[dict[str, Any]]:
    """All rows of a list for each of the keys (`/orders`, `/trades`), a few keys at a time."""
    free = asyncio.Semaphore(4)

    async def of(key: str) -> list[dict[str, Any]]:
        async with free:
            return [row async for row in api.pages(path, key=key)]

    return [row for rows in await asyncio.gather(*map(of, keys)) for row in rows]
