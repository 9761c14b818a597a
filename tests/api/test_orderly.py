"""A fair and orderly market over HTTP: index, status, halts, rules, limits, concentration."""

from __future__ import annotations

import uuid

import pytest

from core import clock
from core.slots import slot_of
from exchange.market.models import Order
from exchange.market.orderly.models import Halt, OrderLimit
from tests.api.client import operator_staff, register
from tests.api.test_market import (  # noqa: F401 - fixtures
    NPU,
    buyer,
    hour,
    match,
    offer,
    order,
    provider,
    statements,
)
from tests.integration.market.test_bands import publish


@pytest.fixture
def desk(buyer):  # noqa: F811 - the fixture
    return operator_staff()["market"]


def this_slot() -> int:
    return slot_of(clock.now())


def test_the_index_is_read_by_grade_region_and_hours_in_pages(buyer):  # noqa: F811
    for later in range(3):
        publish(this_slot() - 3 + later, zhengzhou=str(10 + later), luoyang="20")
    found = buyer.caller.get(f"/market/index?grade={NPU}&region=zhengzhou").json["results"]
    assert [row["price_per_unit_hour"] for row in found] == ["12.000000", "11.000000", "10.000000"]
    assert found[0] == {
        "grade": NPU,
        "region": "zhengzhou",
        "hour": hour(-1),
        "price_per_unit_hour": "12.000000",
        "is_carried": False,
        "priced_hour": hour(-1),
        "unit_hours": "1.000",
        "trades": 1,
    }
    window = f"from={hour(-3)}&to={hour(-1)}"
    some = buyer.caller.get(f"/market/index?grade={NPU}&{window}").json["results"]
    assert {row["hour"] for row in some} == {hour(-3), hour(-2)}
    seen, cursor = [], ""
    while cursor is not None:
        page = buyer.caller.get(f"/market/index?grade={NPU}&limit=4{cursor}").json
        seen += page["results"]
        cursor = page["next"] and f"&cursor={page['next']}"
    assert len(seen) == len({(row["region"], row["hour"]) for row in seen}) == 6
    assert [row["hour"] for row in seen] == sorted((row["hour"] for row in seen), reverse=True)
    assert statements(lambda: buyer.caller.get(f"/market/index?grade={NPU}")) == 2


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("", "grade"),
        (f"grade={NPU}&from=yesterday", "from"),
        (f"grade={NPU}&to=2026-11-24T00:30:00Z", "to"),
        (f"grade={NPU}&since=2026-11-24T00:00:00Z", "since"),
    ],
)
def test_a_bad_query_of_the_index_names_its_field(buyer, query, field):  # noqa: F811
    answer = buyer.caller.get(f"/market/index?{query}")
    assert (answer.status, answer.json["errors"][0]["field"]) == (422, field)


def test_a_halt_is_seen_by_members_and_resumed_by_the_desk(buyer, desk, offer):  # noqa: F811
    made = desk.post("/market/halts", {"book": "intelligent", "reason": "A rumour"})
    assert made.status == 201
    assert (made.json["state"], made.json["book"], made.json["region"]) == (
        "halted",
        "intelligent",
        None,
    )
    placed = buyer.caller.post("/orders", order()).json
    match()
    status = buyer.caller.get("/market/status").json
    state = {book["book"]: book["state"] for book in status["books"]}
    assert (state["intelligent"], state["general"]) == ("halted", "open")
    assert [halt["reason"] for halt in status["halts"]] == ["A rumour"]
    assert "halted_by" not in status["halts"][0]
    assert buyer.caller.get(f"/orders/{placed['id']}").json["state"] == "open"
    refused = buyer.caller.post("/orders", order(time_in_force="fok"))
    assert (refused.status, refused.json["errors"][0]["field"]) == (422, "time_in_force")
    again = desk.post("/market/halts", {"book": "intelligent", "reason": "Again"})
    assert (again.status, again.json["type"]) == (409, "/problems/transition-refused")

    path = f"/market/halts/{made.json['id']}/resume"
    resumed = desk.post(path, {"reason": "It was false"})
    assert (resumed.status, resumed.json["state"]) == (200, "open")
    assert desk.post(path, {"reason": "Again"}).status == 409
    match()
    assert buyer.caller.get(f"/orders/{placed['id']}").json["state"] == "filled"
    status = buyer.caller.get("/market/status").json
    assert status["halts"] == []
    assert {book["state"] for book in status["books"]} == {"open"}
    assert [h["resume_reason"] for h in desk.get("/market/halts").json["results"]] == [
        "It was false"
    ]
    assert statements(lambda: buyer.caller.get("/market/status")) == 3


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({}, 422, "reason"),
        ({"reason": "x"}, 422, "book"),
        ({"reason": "x", "book": "intelligent", "region": "henan"}, 422, "book"),
        ({"reason": "x", "region": "atlantis"}, 422, "region"),
        ({"reason": "", "book": "intelligent"}, 422, "reason"),
        ({"reason": "x", "book": "none"}, 404, None),
    ],
)
def test_a_bad_halt_names_its_field_and_halts_nothing(desk, body, status, field):
    answer = desk.post("/market/halts", body)
    assert answer.status == status
    assert field is None or answer.json["errors"][0]["field"] == field
    assert not Halt.objects.exists()


WRITES = [
    ("POST", "/market/halts", {"book": "intelligent", "reason": "x"}),
    ("POST", f"/market/halts/{uuid.UUID(int=7)}/resume", {"reason": "x"}),
    ("PUT", "/market/books/intelligent/rules", {"band_bp": 100}),
    ("PUT", f"/market/order-limits/{uuid.UUID(int=7)}", {"open_orders": 1}),
]


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
def test_members_and_other_staff_may_not_act(buyer, method, path, body):  # noqa: F811
    staff = operator_staff()
    for caller in (buyer.caller, register("provider").caller, staff["auditor"], staff["clerk"]):
        assert caller.send(method, path, body).status == 403
    assert staff["market"].send(method, path, body, idempotency_key=None).status == 400
    assert not Halt.objects.exists()


def test_only_staff_read_concentration_and_all_halts(buyer, desk, provider, offer):  # noqa: F811
    for path in ("/market/concentration", "/market/halts"):
        assert buyer.caller.get(path).status == 403
        assert provider.caller.get(path).status == 403
    (found,) = desk.get("/market/concentration").json["results"]
    assert found["grade"] == NPU
    share = {
        "provider_id": str(provider.organisation.id),
        "provider": "A firm",
        "units": 16,
        "share_bp": 10_000,
    }
    one = {"units": 16, "providers": 1, "hhi": 10_000, "largest": [share]}
    assert found["registered"] == found["free"] == one
    buyer.caller.post("/orders", order(units=4, on_demand=True, latest_end_at=None))
    match()
    (found,) = desk.get("/market/concentration").json["results"]
    assert (found["registered"]["units"], found["free"]["units"]) == (16, 12)
    assert statements(lambda: desk.get("/market/concentration")) == 2


def test_a_band_is_set_shown_and_kept(buyer, desk, provider, offer):  # noqa: F811
    publish(this_slot() - 1, luoyang="10")
    rules = desk.send("PUT", "/market/books/intelligent/rules", {"band_bp": 1_000})
    assert rules.json == {"book": "intelligent", "band_bp": 1_000, "index_min_unit_hours": 1}
    shown = buyer.caller.get("/market/status").json["books"]
    assert {b["book"]: b["band_bp"] for b in shown}["intelligent"] == 1_000
    dear = order(grades=[{"grade": NPU, "limit_price_per_unit_hour": "11.000001"}])
    for path in ("/orders", "/orders/preview"):
        answer = buyer.caller.post(path, dear)
        assert (answer.status, answer.json["type"]) == (422, "/problems/order-refused")
        (bad,) = answer.json["errors"]
        assert bad["rule"] == "price band: 11.000001 yuan, the band is 9.000000 to 11.000000"
    assert buyer.caller.post("/orders", dear | {"allow_outside_band": True}).status == 201
    change = {"prices": ["20.000000"]}
    refused = provider.caller.send("PATCH", f"/offers/{offer['id']}", change)
    assert (refused.status, refused.json["errors"][0]["field"]) == (422, "prices")
    change["allow_outside_band"] = True
    assert provider.caller.send("PATCH", f"/offers/{offer['id']}", change).status == 202
    assert desk.send("PUT", "/market/books/none/rules", {"band_bp": 1}).status == 404
    assert desk.send("PUT", "/market/books/intelligent/rules", {"band_bp": 0}).status == 422


def test_an_organisation_has_a_limit_of_live_orders(buyer, desk, settings):  # noqa: F811
    settings.OPEN_ORDERS_PER_ORGANISATION = 2
    placed = [buyer.caller.post("/orders", order()) for _ in range(3)]
    assert [answer.status for answer in placed] == [201, 201, 409]
    problem = placed[-1].json
    assert (problem["type"], problem["limit"]) == ("/problems/too-many-open-orders", 2)
    assert Order.objects.count() == 2
    path = f"/market/order-limits/{buyer.organisation.id}"
    assert desk.send("PUT", path, {"open_orders": 3}).json["open_orders"] == 3
    assert buyer.caller.post("/orders", order()).status == 201
    assert buyer.caller.post("/orders", order()).status == 409
    assert desk.send("PUT", path, {"open_orders": None}).status == 200
    assert not OrderLimit.objects.exists()
    match()
    buyer.caller.post(f"/orders/{placed[0].json['id']}/cancel", {})
    assert buyer.caller.post("/orders", order()).status == 409, "until the book has taken it"
    for answer in placed[:2]:
        buyer.caller.post(f"/orders/{answer.json['id']}/cancel", {})
    match()
    assert buyer.caller.post("/orders", order()).status == 201
    assert desk.send("PUT", path, {"open_orders": -1}).status == 422
    unknown = f"/market/order-limits/{uuid.UUID(int=7)}"
    assert desk.send("PUT", unknown, {"open_orders": 1}).status == 404
