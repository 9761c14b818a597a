"""An auction by the timetable, through the real workers: from the gate to the charge."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from tests.stories.parties import World, clock_text, until

# 08:50 in Zhengzhou; an hour of the exchange takes four seconds.
START = datetime(2026, 11, 24, 0, 50, tzinfo=UTC)
SPEED = 900.0
GRADE = "intelligent.ascend-910b.1"


@pytest.fixture(scope="module")
def world(exchange_factory) -> World:
    return World(
        exchange_factory(
            clock=clock_text(START, SPEED), port=0, extra_env={"CENTRE_SILENCE_SECONDS": "864000"}
        )
    )


def test_the_story(world):
    market, auditor = world.staff["market"], world.staff["auditor"]
    provider = world.register("provider", "luoyang")
    buyer = world.register("buyer", "zhengzhou", yuan="1000")
    pool = world.capacity(provider, "luoyang", units=8, price="30")
    link = next(
        x
        for x in market.get("/links", limit=200)["results"]
        if {x["region_a"], x["region_b"]} == {"luoyang", "zhengzhou"}
    )
    carries = {"price_per_unit_hour": "1", "forward_units": [4] * 24, "backward_units": [4] * 24}
    assert market.ask("PUT", f"/auction-links/{link['id']}", carries).is_success
    today = (world.clock.now() + timedelta(hours=8)).date()
    market.post(
        "/auction-schedules",
        {
            "valid_from_date": str(today),
            "announced_days": 3,
            "opens_at": "00:00",
            "closes_at": "18:00",
            "clear_by_at": "22:00",
            "publish_by_at": "23:30",
            "lowest_price": "0.01",
            "highest_price": "100",
        },
    )
    auction = until(
        lambda: next(
            (
                a
                for a in buyer.get("/auctions", state="open")["results"]
                if datetime.fromisoformat(a["closes_at"]) > world.clock.now() + timedelta(hours=2)
            ),
            None,
        )
    )
    path = f"/auctions/{auction['id']}"
    start_at = datetime.fromisoformat(auction["delivery_starts_at"])
    hours = [(start_at + timedelta(hours=h)).isoformat() for h in (1, 2)]

    def line(price: str, units: int) -> dict:
        slots = [{"start_at": hour, "units": units} for hour in hours]
        return {"price_per_unit_hour": price, "slots": slots}

    offer = provider.post(f"{path}/offers", {"pool": pool["id"], "lines": [line("5", 8)]})
    wanted = {"grade": GRADE, "zone": "zhengzhou", "lines": [line("12", 3), line("9", 6)]}
    order = buyer.post(f"{path}/orders", wanted)
    assert order["held"] == "180.000000"

    until(lambda: buyer.get(path)["state"] == "published", seconds=120)

    shown = buyer.get(f"{path}/result")
    assert shown["method"] == "optimal"
    # Four units fit through the link: three at 12, one of six at 9, which is the price there.
    assert (shown["payments"], shown["receipts"]) == ("72.000000", "40.000000")
    assert (shown["transport"], shown["congestion_rent"]) == ("8.000000", "24.000000")
    got = buyer.get(f"/auction-orders/{order['id']}")
    assert [x["slots"][0]["accepted_units"] for x in got["lines"]] == [3, 1]
    assert provider.get(f"/auction-offers/{offer['id']}")["state"] == "answered"
    assert buyer.get("/account")["held"] == "72.000000"

    lease = until(lambda: provider.get("/leases")["results"])[0]
    moves = f"/leases/{lease['id']}/transitions"
    until(lambda: provider.ask("POST", moves, {"event": "activate"}).is_success, seconds=120)
    trade = buyer.get("/trades")["results"][0]
    record = {
        "lease_id": lease["id"],
        "source_record_id": "second-hour",
        "period_start_at": hours[1],
        "period_end_at": trade["ends_at"],
        "active_unit_seconds": 4 * 3600,
    }
    until(lambda: provider.get(f"/leases/{lease['id']}")["state"] == "completed", seconds=120)
    provider.post("/usage-records", {"records": [record]})
    (charge,) = until(lambda: buyer.get("/charges")["results"])
    lines = {x["component"]: Decimal(x["amount"]) for x in charge["lines"]}
    assert lines["congestion_rent"] == 12
    assert lines["transport_net"] + lines["transport_vat"] == 4
    assert lines["seller_net"] + lines["commission"] + lines["compute_vat"] == 20
    assert charge["amount"] == "36.000000"
    for region in auditor.get("/ledger/trial-balance")["results"]:
        assert region["debits"] == region["credits"]
    assert "FAIL" not in world.running.manage("verify")
