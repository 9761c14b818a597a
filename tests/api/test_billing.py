"""Usage, charges, funds and settlement over HTTP: from a report to the payment file."""

from __future__ import annotations

import csv
import uuid
from datetime import timedelta
from io import StringIO

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from billing.rating.services import rate_pending
from billing.settlement.services import execute_batch
from core import clock
from exchange.market.models import Trade
from exchange.scheduling import services as scheduling
from tests import factories as make
from tests.api.client import Caller, Party, operator_staff, register

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


def text(at) -> str:
    return at.isoformat().replace("+00:00", "Z")


class World:
    """A buyer in Zhengzhou, a provider in Luoyang, a lease of the last two hours, the staff."""

    def __init__(self) -> None:
        for code in ("zhengzhou", "luoyang"):
            make.region(code)
        self.buyer: Party = register("buyer")
        self.provider: Party = register("provider", region_code="luoyang")
        self.staff: dict[str, Caller] = operator_staff()
        self.trade = self.lease()

    def lease(self) -> Trade:
        make.fund(self.buyer.organisation, 106_000_000)
        start = clock.now().replace(minute=0, second=0, microsecond=0) - 2 * HOUR
        trade = make.trade(
            self.buyer.organisation,
            self.provider.organisation,
            starts_at=start,
            compute_micro=106_000_000,
        )
        scheduling.pull_leases(now=start)
        scheduling.transition_lease(
            actor=make.actor_of(self.provider.organisation),
            lease_id=trade.pk,
            event="activate",
            now=start,
        )
        return trade

    def record(self, trade: Trade | None = None, **facts) -> dict:
        trade = trade or self.trade
        return {
            "lease_id": str(trade.pk),
            "source_record_id": "a",
            "period_start_at": text(trade.starts_at),
            "period_end_at": text(trade.starts_at + HOUR),
            "active_unit_seconds": 14_400,
        } | facts

    def report(self, *records: dict, caller: Caller | None = None):
        caller = caller or self.provider.caller
        return caller.post("/usage-records", {"records": list(records)})


@pytest.fixture
def world() -> World:
    return World()


def test_from_a_report_to_the_payment_file(world):
    answer = world.report(world.record())
    assert (answer.status, answer.json) == (201, {"stored": 1, "repeated": 0})
    assert world.report(world.record()).json == {"stored": 0, "repeated": 1}
    rate_pending(now=clock.now())

    (charge,) = world.buyer.caller.get(f"/charges?lease_id={world.trade.pk}").json["results"]
    assert (charge["amount"], charge["compute"], charge["transport"], charge["currency"]) == (
        "53.000000",
        "53.000000",
        "0.000000",
        "CNY",
    )
    assert {line["component"]: line["amount"] for line in charge["lines"]} == {
        "seller_net": "48.410000",
        "commission": "1.590000",
        "compute_vat": "3.000000",
    }
    assert world.provider.caller.get(f"/charges/{charge['id']}").json == charge
    order = charge["order_id"]
    assert len(world.buyer.caller.get(f"/charges?order_id={order}").json["results"]) == 1
    funds = world.buyer.caller.get("/account").json
    assert (funds["balance"], funds["held"], funds["available"]) == (
        "53.000000",
        "53.000000",
        "0.000000",
    )
    statement = world.buyer.caller.get("/account/statement?limit=1").json
    assert [row["amount"] for row in statement["results"]] == ["106.000000"]
    rest = world.buyer.caller.get(f"/account/statement?cursor={statement['next']}").json
    assert [(row["code"], row["amount"]) for row in rest["results"]] == [
        ("charge.usage", "-53.000000")
    ]

    clerk, approver = world.staff["clerk"], world.staff["approver"]
    period = clerk.post("/settlement/periods/cut-off").json
    assert period["state"] == "closing"
    draft = clerk.post("/settlement/batches", {"date": period["date"]})
    batch = draft.json
    assert (draft.status, batch["state"], batch["charged"]) == (201, "draft", "53.000000")
    assert (batch["paid_out"], batch["kept"]) == ("48.410000", "4.590000")
    assert batch["regions"] == [
        {
            "region": "luoyang",
            "owes": "0.000000",
            "is_owed": "53.000000",
            "net": "53.000000",
            "pays": "0.000000",
            "receives": "53.000000",
        },
        {
            "region": "zhengzhou",
            "owes": "53.000000",
            "is_owed": "0.000000",
            "net": "-53.000000",
            "pays": "53.000000",
            "receives": "0.000000",
        },
    ]
    (payment,) = batch["region_payments"]
    owed = next(row for row in batch["obligations"] if row["kind"] == "clearing")
    assert payment["discharges"] == [{"obligation_id": owed["id"], "amount": "53.000000"}]
    (payout,) = batch["payouts"]
    assert (payout["amount"], payout["carried"]) == ("48.410000", "0.000000")

    path = f"/settlement/batches/{batch['id']}"
    assert approver.get(f"{path}/payouts.csv").status == 409
    assert clerk.post(f"{path}/submit").json["state"] == "submitted"
    approved = approver.post(f"{path}/approve", {"content_hash": batch["content_hash"]})
    assert (approved.status, approved.json["state"]) == (200, "approved")
    execute_batch(batch_id=uuid.UUID(batch["id"]), now=clock.now())
    assert clerk.get(path).json["state"] == "settled"
    file = clerk.get(f"{path}/payouts.csv")
    assert file.headers["Content-Type"] == "text/csv; charset=utf-8"
    (row,) = csv.DictReader(StringIO(file.content.decode()))
    assert (row["amount"], row["end_to_end_id"]) == ("48.41", payout["end_to_end_id"])
    (paid,) = world.provider.caller.get("/payouts").json["results"]
    assert (paid["amount"], paid["state"]) == ("48.410000", "sent")
    books = clerk.get("/ledger/trial-balance").json["results"]
    assert all(row["debits"] == row["credits"] for row in books)


def test_bad_records_are_all_named_and_nothing_is_stored(world):
    answer = world.report(
        world.record(),
        world.record(source_record_id="b", active_unit_seconds=99_999_999),
        world.record(source_record_id="c", lease_id=str(uuid.uuid4())),
    )
    assert (answer.status, answer.json["type"]) == (422, "/problems/invalid-input")
    named = [bad["field"] for bad in answer.json["errors"]]
    assert "records.1.active_unit_seconds" in named
    assert "records.2.lease_id" in named
    assert all(bad["rule"] and bad["mend"] for bad in answer.json["errors"])
    assert world.provider.caller.get("/usage-records").json["results"] == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"active_unit_seconds": "many"}, "active_unit_seconds"),
        ({"active_unit_seconds": -1}, "active_unit_seconds"),
        ({"active_unit_seconds": 2**63}, "active_unit_seconds"),
        ({"period_start_at": "yesterday"}, "period_start_at"),
        ({"period_start_at": "2026-11-23T08:00:00"}, "period_start_at"),
        ({"lease_id": "1"}, "lease_id"),
        ({"source_record_id": ""}, "source_record_id"),
        ({"source_record_id": "x" * 65}, "source_record_id"),
        ({"price": "1"}, "price"),
    ],
)
def test_a_record_of_the_wrong_shape_is_named(world, change, field):
    answer = world.report(world.record(), world.record(**change))
    assert answer.status == 422
    assert [bad["field"] for bad in answer.json["errors"]] == [f"records.1.{field}"]


@pytest.mark.parametrize("body", [{}, {"records": []}, {"records": "x"}, {"source": "probe"}])
def test_a_batch_has_records(world, body):
    assert world.provider.caller.post("/usage-records", body).status == 422


def test_strangers_see_nothing(world):
    world.report(world.record())
    rate_pending(now=clock.now())
    charge = world.buyer.caller.get("/charges").json["results"][0]["id"]
    stranger = register("buyer", "provider", "carrier").caller
    for path in ("/usage-records", "/charges", "/payouts", "/top-ups", "/account/statement"):
        assert stranger.get(path).json["results"] == []
    assert stranger.get(f"/charges/{charge}").status == 404
    assert register("provider").caller.get("/account").status == 404
    answer = world.report(world.record(), caller=stranger)
    assert answer.json["errors"][0]["rule"] == "unknown lease"


def test_settlement_is_the_operators(world):
    buyer, approver = world.buyer.caller, world.staff["approver"]
    for method, path in [
        ("GET", "/settlement/periods"),
        ("GET", "/settlement/batches"),
        ("POST", "/settlement/periods/cut-off"),
        ("GET", "/ledger/trial-balance"),
    ]:
        assert buyer.send(method, path, {} if method == "POST" else None).status == 403
    assert approver.post("/settlement/periods/cut-off").status == 403
    assert approver.get("/settlement/periods").status == 200
    body = {
        "organisation_id": str(world.buyer.organisation.pk),
        "amount": "5.00",
        "currency": "CNY",
        "bank_reference": "r",
    }
    assert buyer.post("/top-ups", body).status == 403
    assert approver.post("/top-ups", body).status == 403


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"amount": "0"}, "amount"),
        ({"amount": "-5.00"}, "amount"),
        ({"amount": "NaN"}, "amount"),
        ({"amount": 5}, "amount"),
        ({"amount": "1.0000001"}, "amount"),
        ({"amount": "99999999999999"}, "amount"),
        ({"currency": "USD"}, "currency"),
        ({"bank_reference": ""}, "bank_reference"),
        ({"organisation_id": "x"}, "organisation_id"),
    ],
)
def test_a_bad_top_up_is_refused_by_name(world, change, field):
    body = {
        "organisation_id": str(world.buyer.organisation.pk),
        "amount": "5.00",
        "currency": "CNY",
        "bank_reference": "r",
    }
    answer = world.staff["clerk"].post("/top-ups", body | change)
    assert answer.status == 422
    assert [bad["field"] for bad in answer.json["errors"]] == [field]
    assert world.buyer.caller.get("/top-ups").json["results"] == []


def test_a_top_up_is_booked_once(world):
    body = {
        "organisation_id": str(world.buyer.organisation.pk),
        "amount": "5.25",
        "currency": "CNY",
        "bank_reference": "ICBC 7",
    }
    clerk = world.staff["clerk"]
    made = clerk.post("/top-ups", body)
    assert (made.status, made.json["amount"]) == (201, "5.250000")
    again = clerk.post("/top-ups", body)
    assert (again.status, again.json["type"]) == (409, "/problems/top-up-known")
    assert len(world.buyer.caller.get("/top-ups").json["results"]) == 1


def test_a_batch_is_drawn_up_by_exactly_one_name(world):
    clerk = world.staff["clerk"]
    period = clerk.post("/settlement/periods/cut-off").json
    for body in ({}, {"period_id": period["id"], "date": period["date"]}, {"date": "x"}):
        assert clerk.post("/settlement/batches", body).status == 422
    assert clerk.post("/settlement/batches", {"period_id": 2**31 - 1}).status == 404
    assert clerk.post("/settlement/batches", {"date": "1999-01-01"}).status == 404
    assert clerk.post("/settlement/batches", {"period_id": period["id"]}).status == 201


def test_a_batch_cannot_be_approved_by_its_submitter_over_http(world):
    clerk = world.staff["clerk"]
    period = clerk.post("/settlement/periods/cut-off").json
    batch = clerk.post("/settlement/batches", {"period_id": period["id"]}).json
    path = f"/settlement/batches/{batch['id']}"
    clerk.post(f"{path}/submit")
    refused = clerk.post(f"{path}/approve", {"content_hash": batch["content_hash"]})
    assert (refused.status, refused.json["type"]) == (403, "/problems/operator-role-missing")
    wrong = world.staff["approver"].post(f"{path}/approve", {"content_hash": "0" * 64})
    assert (wrong.status, wrong.json["type"]) == (409, "/problems/content-differs")
    for body in ({}, {"content_hash": "xyz"}):
        assert world.staff["approver"].post(f"{path}/approve", body).status == 422
    rejected = world.staff["approver"].post(f"{path}/reject", {"reason": "wait"})
    assert (rejected.json["state"], rejected.json["state_reason"]) == ("rejected", "wait")


def test_lists_cost_the_same_however_long_they_are(world):
    caller = world.buyer.caller

    def queries() -> list[int]:
        counts = []
        for path in ("/charges", "/usage-records"):
            with CaptureQueriesContext(connection) as captured:
                assert caller.get(path).status == 200
            counts.append(len(captured))
        return counts

    world.report(world.record())
    rate_pending(now=clock.now())
    queries()
    first = queries()
    for _ in range(3):
        world.report(world.record(world.lease()))
    rate_pending(now=clock.now())
    assert queries() == first
