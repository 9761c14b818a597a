"""The day-ahead auction over the API: enter, replace, cancel; results and certificates for all."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta

import pytest

from core import clock
from exchange.market.day_ahead import gate
from exchange.market.day_ahead.models import Auction
from tests import factories
from tests.api.client import operator_staff, register
from tests.integration.capacity.builders import load_reference

pytestmark = pytest.mark.django_db
NPU = "intelligent.ascend-910b.1"


@pytest.fixture
def scene():
    load_reference()
    market = operator_staff()["market"]
    now = clock.now()
    times = {"opens_at": "00:00", "closes_at": "01:00", "clear_by_at": "02:00"}
    timetable = times | {
        "publish_by_at": "03:00",
        "valid_from_date": str(now.date()),
        "is_running": False,
        "lowest_price": "0.01",
        "highest_price": "1000",
    }
    assert market.post("/auction-schedules", timetable).status == 201
    wanted = {
        "delivery_date": str((now + timedelta(days=3)).date()),
        "reason": "a first rehearsal",
        "opens_at": (now - timedelta(minutes=1)).isoformat(),
        "closes_at": (now + timedelta(hours=1)).isoformat(),
    }
    made = market.post("/auctions", wanted)
    assert made.status == 201, made.content
    gate.advance(auction_id=made.json["id"], now=clock.now())
    return market, made.json


def line(auction: dict, price: str, units: int, **facts) -> dict:
    hour = {"start_at": auction["delivery_starts_at"], "units": units}
    return {"price_per_unit_hour": price, "slots": [hour]} | facts


def publish(auction: dict) -> None:
    row = Auction.objects.get(id=auction["id"])
    assert gate.advance(auction_id=row.id, now=row.closes_at) == "published"


def test_from_an_order_to_a_certificate_that_anybody_can_check(
    scene, tmp_path, django_assert_max_num_queries
):
    market, auction = scene
    buyer, provider = register("buyer"), register("provider")
    factories.fund(buyer.organisation, 1_000_000_000)
    centre = {
        "code": "c1",
        "name": "One",
        "region": "luoyang",
        "standard_racks": 10,
        "pue": "1.2",
        "green_share": "0.4",
    }
    centre = provider.caller.post("/centres", centre).json
    pool = {"centre_id": centre["id"], "code": "p1", "grade": NPU, "units": 8}
    pool = provider.caller.post("/pools", pool).json
    (link,) = [
        x
        for x in market.get("/links?limit=200").json["results"]
        if {x["region_a"], x["region_b"]} == {"luoyang", "zhengzhou"}
    ]
    carries = {
        "price_per_unit_hour": "0.5",
        "forward_units": [3] * 24,
        "backward_units": [3] * 24,
    }
    assert market.send("PUT", f"/auction-links/{link['id']}", carries).status == 200
    path = f"/auctions/{auction['id']}"
    offer = {"pool": pool["id"], "lines": [line(auction, "4", 8)], "minimum_income": "1"}
    offer = provider.caller.post(f"{path}/offers", offer)
    assert offer.status == 201, offer.content
    lines = [line(auction, "9", 2), line(auction, "8", 1, kind="block")]
    lines.append(line(auction, "7", 2, kind="block", parent=1))
    wanted = {"grade": NPU, "zone": "zhengzhou", "lines": lines}
    order = buyer.caller.post(f"{path}/orders", wanted, idempotency_key="one")
    assert (order.status, order.json["held"]) == (201, "40.000000")
    again = buyer.caller.post(f"{path}/orders", wanted, idempotency_key="one")
    assert again.json["id"] == order.json["id"]
    assert buyer.caller.get(f"{path}/result").status == 409

    publish(auction)

    shown = provider.caller.get(f"{path}/result").json
    assert (shown["method"], shown["gap"] < 1e-6) == ("optimal", True)
    prices = {p["zone"]: p for p in shown["prices"] if p["bought_units"] or p["sold_units"]}
    assert prices["luoyang"]["sold_units"] == prices["zhengzhou"]["bought_units"] == 3
    assert prices["luoyang"]["price_per_unit_hour"] == "4.000000"
    (flow,) = shown["flows"]
    assert (flow["from_zone"], flow["units"], flow["is_full"]) == ("luoyang", 3, True)
    (block,) = shown["blocks"]
    own = buyer.caller.get(f"/auction-orders/{order.json['id']}").json
    assert own["state"] == "answered"
    assert [x["slots"][0]["accepted_units"] for x in own["lines"]] == [2, 1, 0]
    assert block["token"] == own["lines"][2]["token"]
    assert own["lines"][2]["reason"] == block["reason"] != ""
    paid = sum(float(x["amount"]) for x in own["lines"])
    assert f"{paid:.6f}" == own["spent"] == shown["payments"]
    given = provider.caller.get(f"/auction-offers/{offer.json['id']}").json
    assert given["lines"][0]["slots"][0]["reserved_units"] == 8
    assert given["lines"][0]["amount"] == shown["receipts"] == "12.000000"

    # No name stands in what is public, and a program of its own accepts it.
    stranger = register("buyer").caller
    files = []
    for name in ("problem", "certificate"):
        text = stranger.get(f"{path}/{name}").content
        for secret in (buyer.organisation.id, provider.organisation.id, own["id"], pool["id"]):
            assert str(secret) not in text.decode()
        files.append(tmp_path / f"{name}.json")
        files[-1].write_bytes(text)
    checker = "exchange/market/auction/checker.py"
    done = subprocess.run(
        [sys.executable, checker, *files], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "everything holds\n")
    files[1].write_text(json.dumps(json.loads(files[1].read_text()) | {"objective_micro": 1}))
    done = subprocess.run([sys.executable, checker, *files], capture_output=True, check=False)
    assert done.returncode == 1
    with django_assert_max_num_queries(8):
        assert len(buyer.caller.get(f"{path}/orders").json["results"]) == 1
    assert stranger.get(f"{path}/orders").json["results"] == []


def test_an_order_is_replaced_and_cancelled(scene):
    _, auction = scene
    buyer = register("buyer")
    factories.fund(buyer.organisation, 100_000_000)
    path = f"/auctions/{auction['id']}/orders"
    wanted = {"grade": NPU, "zone": "zhengzhou", "lines": [line(auction, "9", 10)]}
    order = buyer.caller.post(path, wanted).json
    bad = buyer.caller.post(path, wanted)
    assert (bad.status, bad.json["type"]) == (402, "/problems/insufficient-funds")
    other = buyer.caller.post(f"/auction-orders/{order['id']}/replace", wanted)
    assert (other.status, other.json["replaces"]) == (201, order["id"])
    gone = buyer.caller.post(f"/auction-orders/{order['id']}/replace", wanted)
    assert (gone.status, gone.json["type"]) == (409, "/problems/gate-not-open")
    cancel = f"/auction-orders/{other.json['id']}/cancel"
    assert register("buyer").caller.post(cancel, {}).status == 404
    assert buyer.caller.post(cancel, {}).json["state"] == "cancelled"
    assert buyer.caller.get("/account").json["held"] == "0.000000"


BAD = [
    ({"grade": "none"}, "grade"),
    ({"zone": "henan"}, "zone"),
    ({"lines": []}, "lines"),
    ({"price_per_unit_hour": "0.001"}, "lines[0].price_per_unit_hour"),
    ({"kind": "step", "parent": 0}, "lines[0].parent"),
    ({"kind": "block", "parent": 0}, "lines[0].parent"),
    ({"least_ratio": "0.5"}, "lines[0].least_ratio"),
    ({"slots": [{"start_at": "2020-01-01T00:00:00Z", "units": 1}]}, "lines[0].slots"),
]


@pytest.mark.parametrize(("change", "field"), BAD, ids=[str(b[0])[:30] for b in BAD])
def test_a_bad_order_is_refused_by_name(scene, change, field):
    _, auction = scene
    buyer = register("buyer")
    wanted = {"grade": NPU, "zone": "zhengzhou", "lines": [line(auction, "9", 1)]}
    target = wanted if set(change) <= set(wanted) else wanted["lines"][0]
    target.update(change)
    answer = buyer.caller.post(f"/auctions/{auction['id']}/orders", wanted)
    assert answer.status == 422
    assert field in {bad["field"] for bad in answer.json["errors"]}, answer.json


def test_only_the_operators_market_desk_holds_auctions(scene):
    market, auction = scene
    buyer = register("buyer").caller
    cancel = f"/auctions/{auction['id']}/cancel"
    assert buyer.post(cancel, {"reason": "x"}).status == 403
    body = {"delivery_date": auction["delivery_date"], "reason": "again"}
    assert buyer.post("/auctions", body).status == 403
    twice = market.post("/auctions", body)
    assert (twice.status, twice.json["type"]) == (422, "/problems/auction-refused")
    assert market.post(cancel, {"reason": ""}).status == 422
    gone = market.post(cancel, {"reason": "a flood"})
    assert (gone.json["state"], gone.json["state_reason"]) == ("cancelled", "a flood")
    assert market.post(cancel, {"reason": "a flood"}).status == 409
    assert [a["id"] for a in buyer.get("/auctions?state=cancelled").json["results"]] == [
        auction["id"]
    ]
