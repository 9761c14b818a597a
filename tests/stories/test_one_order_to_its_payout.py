"""One order walks from registration to payout, across two regions, every amount exact."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from tests.stories.parties import World, clock_text, until, whole_hour

# An operator's morning; an hour of the exchange takes two seconds.
START = datetime(2026, 11, 24, 1, 10, tzinfo=UTC)
SPEED = 1800.0
GRADE = "intelligent.ascend-910b.1"


@pytest.fixture(scope="module")
def world(exchange_factory) -> World:
    return World(
        exchange_factory(
            clock=clock_text(START, SPEED), port=0, extra_env={"CENTRE_SILENCE_SECONDS": "86400"}
        )
    )


def test_the_story(world):
    clerk, approver = world.staff["clerk"], world.staff["approver"]
    provider = world.register("provider", "luoyang")
    carrier = world.register("carrier", "zhengzhou")
    buyer = world.register("buyer", "zhengzhou", yuan="1000")
    world.capacity(provider, "luoyang", units=16, price="10")
    gb_price = Decimal(_direct_link(world, carrier)["price_per_gb"])
    transport = 4 * 10 * gb_price

    # The order: 4 accelerators for 2 hours, 10 GB each from Zhengzhou.
    wanted = {
        "grades": [{"grade": GRADE, "limit_price_per_unit_hour": "20"}],
        "units": 4,
        "duration_hours": 2,
        "latest_end_at": whole_hour(world.clock.now(), 48).isoformat(),
        "placement": "same_pool",
        "data_region": "zhengzhou",
        "data_in_gb_per_unit": "10",
    }
    until(lambda: buyer.post("/orders/preview", wanted)["would_fill_units"] == 4)
    preview = buyer.post("/orders/preview", wanted)
    assert Decimal(preview["cost"]["compute"]) == 80
    assert Decimal(preview["cost"]["transport"]) == transport
    order = buyer.post("/orders", wanted)
    assert (order["state"], order["hold"]["amount"]) == ("pending", "160.000008")

    order = until(lambda: _in_state(buyer, f"/orders/{order['id']}", "filled"))
    (trade,) = buyer.get(f"/orders/{order['id']}/trades")["results"]
    assert (trade["compute"], Decimal(trade["transport"])) == ("80.000000", transport)
    funds = buyer.get("/account")
    assert Decimal(funds["held"]) == 80 + transport
    assert Decimal(funds["balance"]) == 1000

    # Delivery: the provider brings the lease up and tells only the buyer how to get in.
    lease = until(lambda: provider.get("/leases")["results"])[0]
    assert lease["id"] == trade["id"]
    path = f"/leases/{lease['id']}"
    provider.post(f"{path}/transitions", {"event": "provision"})
    assert provider.ask("PUT", f"{path}/access", {"details": {"ssh": "gpu@10.0.0.8"}}).is_success
    until(lambda: provider.ask("POST", f"{path}/transitions", {"event": "activate"}).is_success)
    assert buyer.get(f"{path}/access")["details"] == {"ssh": "gpu@10.0.0.8"}
    assert provider.http.get(f"{path}/access").status_code == 404

    # Half of what was sold is reported: 4 units for the second of two hours.
    ends_at = datetime.fromisoformat(trade["ends_at"])
    record = {
        "lease_id": lease["id"],
        "source_record_id": "hour-2",
        "period_start_at": (ends_at - timedelta(hours=1)).isoformat(),
        "period_end_at": ends_at.isoformat(),
        "active_unit_seconds": 4 * 3600,
    }
    until(lambda: _in_state(provider, path, "completed"))
    too_much = provider.ask(
        "POST", "/usage-records", {"records": [record | {"active_unit_seconds": 4 * 3600 + 1}]}
    )
    assert too_much.status_code == 422
    assert too_much.json()["errors"][0]["field"].endswith("active_unit_seconds")
    assert provider.post("/usage-records", {"records": [record]})["stored"] == 1
    assert provider.post("/usage-records", {"records": [record]})["repeated"] == 1
    (charge,) = until(lambda: buyer.get("/charges")["results"])
    assert Decimal(charge["compute"]) == 40
    assert Decimal(charge["transport"]) == transport / 2
    lines = {line["component"]: Decimal(line["amount"]) for line in charge["lines"]}
    # 40 with 6 % VAT in it; 3 % commission of the 40; the rest is the seller's.
    assert lines["compute_vat"] == Decimal("2.264151")
    assert lines["commission"] == Decimal("1.200000")
    assert lines["seller_net"] == Decimal("36.535849")
    assert lines["transport_net"] + lines["transport_vat"] == transport / 2
    assert sum(lines.values()) == Decimal(charge["amount"])

    # What was not delivered goes back once it can be reported no more.
    until(lambda: Decimal(buyer.get("/account")["held"]) == 0, seconds=60)
    paid = 40 + transport / 2
    assert Decimal(buyer.get("/account")["available"]) == 1000 - paid

    # The day is settled by two people.
    periods = {p["id"]: p["state"] for p in clerk.get("/settlement/periods")["results"]}
    if periods[charge["period_id"]] == "open":
        clerk.post("/settlement/periods/cut-off")
    batch = clerk.post("/settlement/batches", {"period_id": charge["period_id"]})
    assert Decimal(batch["charged"]) == paid
    assert Decimal(batch["charged"]) == Decimal(batch["paid_out"]) + Decimal(batch["kept"])
    path = f"/settlement/batches/{batch['id']}"
    clerk.post(f"{path}/submit")
    approval = {"content_hash": batch["content_hash"]}
    assert clerk.ask("POST", f"{path}/approve", approval).status_code in (403, 409)
    approver.post(f"{path}/approve", approval)
    until(lambda: _in_state(clerk, path, "settled"))
    text = clerk.http.get(f"{path}/payouts.csv").text
    rows = list(csv.DictReader(io.StringIO(text.lstrip("\ufeff"))))
    detail = clerk.get(path)
    payouts = {p["organisation_id"]: Decimal(p["amount"]) for p in detail["payouts"]}
    assert payouts[provider.organisation_id] == Decimal("36.53")
    assert len(rows) == len(payouts) == 2
    for region in world.staff["auditor"].get("/ledger/trial-balance")["results"]:
        assert region["debits"] == region["credits"]
    assert "FAIL" not in world.running.manage("verify")


def _direct_link(world: World, carrier) -> dict:
    links, cursor = [], None
    while True:
        page = world.staff["market"].get("/links", **({"cursor": cursor} if cursor else {}))
        links += page["results"]
        cursor = page["next"]
        if not cursor:
            break
    (link,) = [x for x in links if {x["region_a"], x["region_b"]} == {"zhengzhou", "luoyang"}]
    changed = world.staff["market"].ask(
        "PATCH", f"/links/{link['id']}", {"carrier_id": carrier.organisation_id}
    )
    assert changed.is_success, changed.text
    return link


def _in_state(party, path: str, state: str) -> dict | None:
    found = party.get(path)
    return found if found["state"] == state else None
