"""The set-up through the API: who takes part, the carriers' links, the capacity, the money."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any, Final, TypeVar

from demo.client import Api
from demo.clockwork import DayClock
from demo.demand import HOURS
from demo.progress import Screen
from demo.scenario import Centre, Party, Scenario

_LINKS: Final = Path("exchange/topology/data/links.json")
_AT_ONCE: Final = 6
_FOUR_PLACES: Final = Decimal("0.0001")

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Staff:
    """A person of the operator, as `bootstrap_operator` made it."""

    email: str
    password: str
    key: str


@dataclass
class Market:
    """Who was registered: ids and keys by the scenario's codes."""

    staff: dict[str, Staff]
    ids: dict[str, str] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    centre_ids: dict[str, str] = field(default_factory=dict)  # by the centre's code
    pool_codes: dict[str, str] = field(default_factory=dict)  # by the pool's id


async def set_up(
    api: Api, scenario: Scenario, staff: dict[str, Staff], *, clock: DayClock, screen: Screen
) -> Market:
    """Register everybody and everything; returns what the day needs."""
    market = Market(staff)
    await _register_parties(api, scenario, market, screen)
    await _give_links_to_carriers(api, scenario, market)
    await _import_capacity(api, scenario, market, clock, screen)
    await _top_up(api, scenario, market, screen)
    return market


async def _register_parties(api: Api, scenario: Scenario, market: Market, screen: Screen) -> None:
    parties = [("provider", party) for party in scenario.providers]
    parties += [("carrier", party) for party in scenario.carriers]
    parties += [("buyer", buyer.party) for buyer in scenario.buyers]
    stage = screen.stage("Registering, verifying", len(parties))

    async def register(entry: tuple[str, Party]) -> None:
        kind, party = entry
        done = await api.post(
            "/registrations",
            {
                "name": party.name,
                "credit_code": party.credit_code,
                "kinds": [kind],
                "region_code": party.region,
                "owner_email": f"owner@{party.code}.example",
                "owner_name": party.name,
            },
            key=None,
        )
        key, organisation_id = done["api_key"], done["organisation"]["id"]
        await api.post("/organisation/submit", key=key)
        await api.post(f"/organisations/{organisation_id}/verify", key=market.staff["market"].key)
        market.ids[party.code], market.keys[party.code] = organisation_id, key
        stage.advance()

    await each(parties, register)


async def _give_links_to_carriers(api: Api, scenario: Scenario, market: Market) -> None:
    """The catalogue says which carrier owns a link; only now there are carriers."""
    known = {carrier.code for carrier in scenario.carriers}
    owners = {
        frozenset((link["a"], link["b"])): link["carrier"]
        for link in json.loads(_LINKS.read_text(encoding="utf-8"))["links"]
        if link["carrier"] in known
    }
    key = market.staff["market"].key

    async def give(link: dict[str, Any]) -> None:
        carrier = owners.get(frozenset((link["region_a"], link["region_b"])))
        if carrier is not None:
            body = {"carrier_id": market.ids[carrier]}
            await api.patch(f"/links/{link['id']}", body, key=key)

    await each([link async for link in api.pages("/links", key=key)], give)


async def _import_capacity(
    api: Api, scenario: Scenario, market: Market, clock: DayClock, screen: Screen
) -> None:
    stage = screen.stage("Importing capacity", len(scenario.centres))

    async def bring_in(provider: Party) -> None:
        key = market.keys[provider.code]
        own = [centre for centre in scenario.centres if centre.provider == provider.code]
        await api.post("/imports/capacity", capacity_file(scenario, own, clock), key=key)
        async for row in api.pages("/centres", key=key):
            market.centre_ids[row["code"]] = row["id"]
        async for row in api.pages("/pools", key=key):
            market.pool_codes[row["id"]] = row["code"]
        for centre in own:
            path = f"/centres/{market.centre_ids[centre.code]}"
            await api.put(f"{path}/hours", {"hours": hours_of(scenario, centre, clock)}, key=key)
            await api.post(f"{path}/heartbeat", key=key)
            stage.advance()

    await each(scenario.providers, bring_in)


def capacity_file(
    scenario: Scenario, centres: Sequence[Centre], clock: DayClock
) -> dict[str, list[dict[str, Any]]]:
    """The bulk import of a provider: its centres, their pools, and an offer of each pool.

    Offers begin at the operator's midnight of the day, or, where that has passed, still cover the
    hours to come.
    """
    codes = {centre.code for centre in centres}
    pools = [pool for pool in scenario.pools if pool.centre in codes]
    window = {"start_at": text(clock.at(0)), "end_at": text(clock.at(scenario.offer_window_slots))}
    return {
        "centres": [
            {
                "code": centre.code,
                "name": centre.name,
                "region": centre.region,
                "standard_racks": centre.standard_racks,
                "pue": centre.pue,
                "green_share": centre.green_share,
            }
            for centre in centres
        ],
        "pools": [
            {"centre": pool.centre, "code": pool.code, "grade": pool.grade, "units": pool.units}
            for pool in pools
        ],
        "offers": [
            {
                "centre": pool.centre,
                "pool": pool.code,
                "units": pool.offer["units"],
                **window,
                "prices": list(pool.offer["prices_per_unit_hour"]),
                "min_duration_slots": pool.offer["min_duration_slots"],
                "max_duration_slots": pool.offer["max_duration_slots"],
                "min_chunk_units": pool.offer["min_chunk_units"],
                "is_reclaimable": pool.offer["reclaimable"],
                "reclaim_notice_seconds": pool.offer["reclaim_notice_seconds"],
            }
            for pool in pools
        ],
    }


def hours_of(scenario: Scenario, centre: Centre, clock: DayClock) -> list[dict[str, Any]]:
    """Power price and green share of the day's hours; the profiles go by UTC hour."""
    hours = []
    for number in range(HOURS):
        at = clock.at(number)
        shape = Decimal(scenario.green_share_shape[centre.green_profile][at.hour])
        green = min(Decimal(1), Decimal(centre.green_share) * shape)
        hours.append(
            {
                "start_at": text(at),
                "power_price_per_kwh": scenario.power_price_per_kwh[centre.power_profile][at.hour],
                "green_share": str(green.quantize(_FOUR_PLACES, ROUND_HALF_EVEN)),
            }
        )
    return hours


async def _top_up(api: Api, scenario: Scenario, market: Market, screen: Screen) -> None:
    stage = screen.stage("Topping up buyers", len(scenario.buyers))
    for buyer in scenario.buyers:
        body = {
            "organisation_id": market.ids[buyer.party.code],
            "amount": f"{buyer.prepaid_yuan}.000000",
            "currency": "CNY",
            "bank_reference": f"demo {buyer.party.code}",
        }
        await api.post("/top-ups", body, key=market.staff["clerk"].key)
        stage.advance()


async def each(items: Iterable[Item], work: Callable[[Item], Awaitable[None]]) -> None:
    """Do `work` for each item, a few at a time; the first failure ends all."""
    free = asyncio.Semaphore(_AT_ONCE)

    async def one(item: Item) -> None:
        async with free:
            await work(item)

    async with asyncio.TaskGroup() as group:
        for item in items:
            group.create_task(one(item))


def text(at: datetime) -> str:
    """An instant as the API writes it."""
    return at.isoformat().replace("+00:00", "Z")
