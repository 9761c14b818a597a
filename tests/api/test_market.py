"""Unified trading over HTTP: shapes, refusals, tenancy, statements, market data."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core import clock
from core.slots import slot_of, slot_start_at
from exchange.capacity.models import Book
from exchange.market import matching
from exchange.market.models import Order
from exchange.pricing import chart
from ledger import services as ledger
from tests.api.client import Party, operator_staff, register
from tests.integration.capacity.builders import NPU, load_reference

YUAN = 1_000_000


def hour(later: int) -> str:
    return slot_start_at(slot_of(clock.now()) + later).strftime("%Y-%m-%dT%H:%M:%SZ")


def order(**changes) -> dict:
    body = {
        "grades": [{"grade": NPU, "limit_price_per_unit_hour": "10"}],
        "units": 4,
        "duration_hours": 2,
        "latest_end_at": hour(24),
    }
    return body | changes


def match() -> None:
    matching.match_book(book_id=Book.objects.get(code="intelligent").id, now=clock.now())


@pytest.fixture
def buyer(db) -> Party:
    load_reference()
    matching.forget_states()
    party = register("buyer")
    fund(party, 100_000)
    yield party
    matching.forget_states()


def fund(party: Party, yuan: int) -> None:
    available = chart.account(party.organisation.id, chart.AVAILABLE, "zhengzhou")
    bank = chart.account(chart.PLATFORM, chart.BANK, "zhengzhou")
    ledger.open_accounts([chart.spec(available), chart.spec(bank)])
    legs = (ledger.Leg(bank, yuan * YUAN), ledger.Leg(available, -yuan * YUAN))
    top_up = ledger.PostTransfer(
        id=party.organisation.id,
        code="bank.top_up",
        reference=party.organisation.id,
        effective_at=clock.now(),
        legs=legs,
    )
    assert ledger.post([(top_up,)], now=clock.now())[0].ok


@pytest.fixture
def provider(buyer) -> Party:
    return register("provider", region_code="luoyang")


@pytest.fixture
def offer(provider: Party) -> dict:
    centre = provider.caller.post(
        "/centres",
        {
            "code": "c1",
            "name": "One",
            "region": "luoyang",
            "standard_racks": 50,
            "pue": "1.250",
            "green_share": "0.5000",
        },
    ).json
    pool = provider.caller.post(
        "/pools", {"centre_id": centre["id"], "code": "p1", "grade": NPU, "units": 16}
    ).json
    answer = provider.caller.post(
        "/offers",
        {
            "pool": pool["id"],
            "units": 16,
            "start_at": hour(0),
            "end_at": hour(240),
            "prices": ["9.500000"],
        },
    )
    assert answer.status == 201, answer.json
    match()
    return answer.json


def test_an_order_is_placed_shown_filled_and_its_trade_seen_from_both_sides(buyer, provider, offer):
    placed = buyer.caller.post("/orders", order(client_reference="run-7"))
    assert placed.status == 201
    assert placed.json["state"] == "pending"
    assert placed.json["hold"] == {"id": placed.json["id"], "amount": "80.000008"}
    match()
    shown = buyer.caller.get(f"/orders/{placed.json['id']}").json
    assert (shown["state"], shown["filled_units"], shown["spent"]) == ("filled", 4, "76.000000")
    listed = buyer.caller.get("/orders?state=filled&client_reference=run-7").json["results"]
    assert [o["id"] for o in listed] == [placed.json["id"]]
    (bought,) = buyer.caller.get(f"/orders/{placed.json['id']}/trades").json["results"]
    (sold,) = provider.caller.get("/trades").json["results"]
    assert bought["id"] == sold["id"]
    assert (bought["side"], bought["order_id"], bought["offer_id"]) == (
        "buyer",
        placed.json["id"],
        None,
    )
    assert (sold["side"], sold["order_id"], sold["offer_id"]) == ("seller", None, offer["id"])
    assert bought["price_per_unit_hour"] == "9.500000"


def test_preview_says_what_it_costs_and_explain_what_is_in_the_way(buyer, offer):
    wanted = buyer.caller.post("/orders/preview", order(), idempotency_key=None).json
    assert wanted["would_fill_units"] == 4
    assert wanted["cost"]["total"] == "76.000000"
    assert wanted["cost"]["vat_contained"] == "4.301887"
    assert wanted["nearest"] == []
    low = order(grades=[{"grade": NPU, "limit_price_per_unit_hour": "9"}])
    placed = buyer.caller.post("/orders", low).json
    match()
    told = buyer.caller.get(f"/orders/{placed['id']}/explain").json
    assert told["would_fill_units"] == 0
    assert told["tests"]["price"] == 1
    limits = [n for n in told["nearest"] if n["change"] == "limit"]
    assert [(n["value"], n["grade"], n["cost"]) for n in limits] == [("9.500000", NPU, "76.000000")]
    assert Order.objects.count() == 1


def test_an_order_is_cancelled_once_its_book_has_taken_the_wish(buyer, offer):
    low = order(grades=[{"grade": NPU, "limit_price_per_unit_hour": "5"}])
    placed = buyer.caller.post("/orders", low).json
    asked = buyer.caller.post(f"/orders/{placed['id']}/cancel", {})
    assert asked.status == 202
    assert asked.json["cancel_requested_at"]
    match()
    assert buyer.caller.get(f"/orders/{placed['id']}").json["state"] == "cancelled"
    again = buyer.caller.post(f"/orders/{placed['id']}/cancel", {})
    assert (again.status, again.json["type"]) == (409, "/problems/order-closed")


def test_an_offer_is_changed_paused_resumed_and_withdrawn_through_its_book(provider, offer):
    path, caller = f"/offers/{offer['id']}", provider.caller
    assert caller.get(path).json["state"] == "open"
    assert caller.send("PATCH", path, {"prices": ["9.000000"], "units": 8}).status == 202
    match()
    assert (caller.get(path).json["prices"], caller.get(path).json["units"]) == (["9.000000"], 8)
    for step, state in (("pause", "paused"), ("resume", "open"), ("withdraw", "withdrawn")):
        assert caller.post(f"{path}/{step}", {}).status == 202
        match()
        assert caller.get(path).json["state"] == state
    refused = caller.post(f"{path}/resume", {})
    assert (refused.status, refused.json["type"]) == (409, "/problems/offer-not-changeable")


BAD = [
    ({"grades": [{"grade": "nonsense", "limit_price_per_unit_hour": "10"}]}, "grades.0.grade"),
    ({"grades": []}, "grades"),
    ({"units": 0}, "units"),
    ({"units": 10**12}, "units"),
    ({"units": "four"}, "units"),
    (
        {"grades": [{"grade": NPU, "limit_price_per_unit_hour": "-1"}]},
        "grades.0.limit_price_per_unit_hour",
    ),
    (
        {"grades": [{"grade": NPU, "limit_price_per_unit_hour": "NaN"}]},
        "grades.0.limit_price_per_unit_hour",
    ),
    (
        {"grades": [{"grade": NPU, "limit_price_per_unit_hour": 10.5}]},
        "grades.0.limit_price_per_unit_hour",
    ),
    ({"duration_hours": 0}, "duration_hours"),
    ({"duration_hours": 23, "latest_end_at": hour(3)}, "latest_end_at"),
    ({"latest_end_at": hour(-3)}, "latest_end_at"),
    ({"latest_end_at": "2026-11-24T00:30:00Z"}, "latest_end_at"),
    ({"latest_end_at": "tomorrow"}, "latest_end_at"),
    ({"placement": "nearby"}, "placement"),
    ({"currency": "USD"}, "currency"),
    ({"time_in_force": "gtd"}, "good_till_at"),
]


@pytest.mark.parametrize(("changes", "field"), BAD)
def test_a_bad_order_names_its_field_and_stores_nothing(buyer, changes, field):
    answer = buyer.caller.post("/orders", order(**changes))
    assert answer.status == 422, answer.json
    named = [bad["field"].replace("[", ".").replace("]", "") for bad in answer.json["errors"]]
    assert field in named
    assert all(bad["rule"] and bad["mend"] for bad in answer.json["errors"])
    assert not Order.objects.exists()


def test_without_funds_the_answer_says_what_is_missing(buyer):
    answer = buyer.caller.post("/orders", order(units=100_000))
    assert (answer.status, answer.json["type"]) == (402, "/problems/insufficient-funds")
    assert answer.json["needed"] == "2000000.200000"
    assert not Order.objects.exists()


def test_a_stranger_sees_nothing_of_it(buyer, provider, offer):
    placed = buyer.caller.post("/orders", order()).json
    stranger = register("buyer", "provider")
    for path in (
        f"/orders/{placed['id']}",
        f"/orders/{placed['id']}/trades",
        f"/orders/{placed['id']}/explain",
        f"/offers/{offer['id']}",
    ):
        assert stranger.caller.get(path).status == 404, path
    assert stranger.caller.post(f"/orders/{placed['id']}/cancel", {}).status == 404
    assert stranger.caller.post(f"/offers/{offer['id']}/withdraw", {}).status == 404
    for path in ("/orders", "/offers", "/trades"):
        assert stranger.caller.get(path).json["results"] == []


def test_market_data_shows_prices_and_no_names(buyer, provider, offer):
    low = order(grades=[{"grade": NPU, "limit_price_per_unit_hour": "5"}])
    buyer.caller.post("/orders", low)
    buyer.caller.post("/orders", order())
    match()
    reader = register("provider").caller
    (best,) = reader.get(f"/market/best-prices?grade={NPU}").json["results"]
    assert best == {
        "grade": NPU,
        "region": "luoyang",
        "offer_price": "9.500000",
        "offered_units": 16,
        "bid_price": "5.000000",
        "bid_units": 4,
    }
    levels = reader.get(f"/market/depth?grade={NPU}&region=luoyang").json["levels"]
    assert [(x["side"], x["price"], x["units"]) for x in levels] == [
        ("offer", "9.500000", 16),
        ("bid", "5.000000", 4),
    ]
    (trade,) = reader.get("/market/trades").json["results"]
    assert set(trade) == {
        "id",
        "grade",
        "region",
        "units",
        "price_per_unit_hour",
        "starts_at",
        "ends_at",
        "traded_at",
    }


def test_the_operator_reads_utilisation(buyer, offer):
    buyer.caller.post("/orders", order(units=8, duration_hours=2))
    match()
    auditor = operator_staff()["auditor"]
    found = auditor.get(f"/market/statistics?from_at={hour(0)}&to_at={hour(10)}").json
    assert found["utilisation"] == [
        {
            "region": "luoyang",
            "resource_class": "intelligent",
            "registered_unit_hours": 160,
            "sold_unit_hours": 16,
        }
    ]
    assert buyer.caller.get(f"/market/statistics?from_at={hour(0)}&to_at={hour(1)}").status == 403


def statements(work) -> int:
    with CaptureQueriesContext(connection) as captured:
        work()
    return len(captured)


def test_statements_do_not_grow_with_rows(buyer, provider, offer):
    caller = buyer.caller
    first = statements(lambda: caller.post("/orders", order(units=1)))
    for _ in range(5):
        caller.post("/orders", order(units=1))
    match()
    counted = {
        path: statements(lambda path=path: caller.get(path))
        for path in ("/orders", "/trades", "/market/trades", f"/market/best-prices?grade={NPU}")
    }
    for _ in range(5):
        caller.post("/orders", order(units=1))
    match()
    assert counted == {path: statements(lambda path=path: caller.get(path)) for path in counted}
    assert max(counted.values()) <= 4
    # key, savepoints, idempotency, grades, order, hold (4), inbox, audit, stored answer
    assert first <= 18


def test_a_window_ends_within_the_horizon(buyer):
    late = clock.now() + timedelta(days=90)
    answer = buyer.caller.post("/orders", order(latest_end_at=late.strftime("%Y-%m-%dT%H:00:00Z")))
    assert answer.status == 422
    assert answer.json["errors"][0]["field"] == "latest_end_at"


def test_an_order_is_amended_by_version_and_its_versions_stay_readable(buyer, offer):
    low = order(grades=[{"grade": NPU, "limit_price_per_unit_hour": "5"}])
    placed = buyer.caller.post("/orders", low).json
    match()
    path = f"/orders/{placed['id']}"
    wanted = {
        "version": placed["version"],
        "grades": [{"grade": NPU, "limit_price_per_unit_hour": "10"}],
        "units": 6,
    }
    asked = buyer.caller.send("PATCH", path, wanted)
    assert (asked.status, asked.json["state"], asked.json["keeps_priority"]) == (
        202,
        "requested",
        False,
    )
    again = buyer.caller.send("PATCH", path, wanted)
    assert (again.status, again.json["type"]) == (409, "/problems/amendment-under-way")
    match()
    shown = buyer.caller.get(path).json
    assert (shown["state"], shown["filled_units"], shown["version"]) == ("filled", 6, 1)
    versions = buyer.caller.get(f"{path}/amendments").json["results"]
    assert [(v["number"], v["state"], v["units"]) for v in versions] == [
        (0, "placed", 4),
        (1, "applied", 6),
    ]
    late = buyer.caller.send("PATCH", path, wanted | {"version": 1})
    assert (late.status, late.json["type"]) == (409, "/problems/order-closed")
    assert register("buyer").caller.send("PATCH", path, wanted).status == 404


def test_a_standing_order_is_created_changed_paused_and_ended(buyer, offer):
    body = {
        "grades": [{"grade": NPU, "limit_price_per_unit_hour": "10"}],
        "units": 4,
        "duration_hours": 2,
        "max_cost_per_day": "500",
    }
    made = buyer.caller.post("/standing-orders", body)
    assert made.status == 201, made.json
    path = f"/standing-orders/{made.json['id']}"
    assert made.json["max_cost_per_day"] == "500.000000"
    changed = buyer.caller.send("PATCH", path, {"version": 0, "units": 3, "until": hour(48)})
    assert (changed.status, changed.json["units"], changed.json["version"]) == (200, 3, 1)
    stale = buyer.caller.send("PATCH", path, {"version": 0, "units": 2})
    assert (stale.status, stale.json["type"]) == (409, "/problems/standing-version-stale")
    for verb, state in (("pause", "paused"), ("resume", "active"), ("end", "ended")):
        assert buyer.caller.post(f"{path}/{verb}", {}).json["state"] == state
    assert buyer.caller.get(f"{path}/rolls").json["results"] == []
    assert buyer.caller.get("/standing-orders?state=ended").json["results"][0]["units"] == 3
    bad = buyer.caller.post("/standing-orders", body | {"on_demand": True, "lead_seconds": 5})
    assert {e["field"] for e in bad.json["errors"]} == {"on_demand", "lead_seconds"}
    stranger = register("buyer").caller
    assert stranger.get(path).status == stranger.post(f"{path}/end", {}).status == 404
