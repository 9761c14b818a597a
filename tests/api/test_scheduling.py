"""Leases over HTTP."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core import clock
from core.ids import new_id
from exchange.scheduling import services
from exchange.scheduling.models import Lease
from tests import factories as make
from tests.api.client import Caller, Party, register

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


@pytest.fixture
def sides() -> tuple[Party, Party]:
    make.region("zhengzhou")
    return register("buyer"), register("provider")


def lease_of(sides: tuple[Party, Party], *, begins: int = -1, hours: int = 3) -> Lease:
    """A lease that began an hour ago (or begins in so many hours)."""
    buyer, provider = (side.organisation for side in sides)
    make.fund(buyer, 80_000_000)
    starts_at = clock.now().replace(minute=0, second=0, microsecond=0) + begins * HOUR
    trade = make.trade(buyer, provider, starts_at=starts_at, hours=hours)
    services.pull_leases(now=clock.now())
    return Lease.objects.get(pk=trade.pk)


def test_a_lease_is_listed_shown_moved_and_entered(sides):
    buyer, provider = sides
    lease = lease_of(sides)
    (row,) = provider.caller.get("/leases?state=scheduled&party=provider").json["results"]
    assert (row["id"], row["units"], row["state"]) == (str(lease.pk), 4, "scheduled")
    assert row["grade"] == "intelligent.test-npu.1"
    assert provider.caller.get("/leases?party=buyer").json["results"] == []
    moved = provider.caller.post(f"/leases/{lease.pk}/transitions", {"event": "activate"})
    assert (moved.status, moved.json["state"]) == (200, "active")
    assert moved.json["activated_at"].endswith("Z")
    put = provider.caller.send(
        "PUT", f"/leases/{lease.pk}/access", {"details": {"host": "10.0.0.1", "token": "s3"}}
    )
    assert put.status == 204
    read = buyer.caller.get(f"/leases/{lease.pk}/access")
    assert read.json["details"] == {"host": "10.0.0.1", "token": "s3"}
    assert read.headers["Cache-Control"] == "no-store"
    detail = buyer.caller.get(f"/leases/{lease.pk}").json
    assert [event["event"] for event in detail["events"]] == ["activate"]


def test_others_find_no_lease(sides):
    _, provider = sides
    lease = lease_of(sides)
    stranger = register("buyer", "provider").caller
    for caller, method, path, body in [
        (stranger, "GET", f"/leases/{lease.pk}", None),
        (stranger, "GET", f"/leases/{lease.pk}/access", None),
        (stranger, "POST", f"/leases/{lease.pk}/transitions", {"event": "activate"}),
        (stranger, "PUT", f"/leases/{lease.pk}/access", {"details": {"a": "b"}}),
        (provider.caller, "GET", f"/leases/{lease.pk}/access", None),
    ]:
        answer = caller.send(method, path, body)
        assert (answer.status, answer.json["type"]) == (404, "/problems/lease-not-found")
    assert stranger.get("/leases").json["results"] == []


@pytest.mark.parametrize(
    ("by", "body", "refusal", "field"),
    [
        ("provider", {"event": "explode"}, (422, "invalid-input"), "event"),
        ("provider", {}, (422, "invalid-input"), "event"),
        ("provider", {"event": "suspend"}, (422, "invalid-input"), "event"),
        ("provider", {"event": "fail", "reason": "x" * 201}, (422, "invalid-input"), "reason"),
        ("provider", {"event": "fail", "why": "x"}, (422, "invalid-input"), "why"),
        ("provider", {"event": "terminate"}, (403, "not-your-move"), None),
        ("buyer", {"event": "activate"}, (403, "not-your-move"), None),
        ("provider", {"event": "complete"}, (409, "transition-refused"), None),
    ],
)
def test_a_bad_step_is_refused_by_name(sides, by, body, refusal, field):
    lease = lease_of(sides)
    caller = sides[by == "provider"].caller
    answer = caller.post(f"/leases/{lease.pk}/transitions", body)
    status, slug = refusal
    assert (answer.status, answer.json["type"]) == (status, f"/problems/{slug}")
    assert [bad["field"] for bad in answer.json.get("errors", [])] == ([field] if field else [])
    lease.refresh_from_db()
    assert lease.state == "scheduled"


def test_a_lease_does_not_start_before_its_time(sides):
    lease = lease_of(sides, begins=2)
    answer = sides[1].caller.post(f"/leases/{lease.pk}/transitions", {"event": "activate"})
    assert (answer.status, answer.json["type"]) == (409, "/problems/lease-too-early")


def test_many_steps_in_one_call_each_by_itself(sides):
    one, other = lease_of(sides), lease_of(sides)
    unknown = str(new_id())
    answer = sides[1].caller.post(
        "/leases/transitions",
        {
            "moves": [
                {"lease_id": str(one.pk), "event": "activate"},
                {"lease_id": unknown, "event": "activate"},
                {"lease_id": str(other.pk), "event": "fail", "reason": "disk lost"},
            ]
        },
    )
    assert answer.status == 200
    first, second, third = answer.json["results"]
    assert (first["state"], first["problem"]) == ("active", None)
    assert first["activated_at"]
    assert (second["lease_id"], second["state"]) == (unknown, None)
    assert second["problem"]["type"] == "/problems/lease-not-found"
    assert third["state"] == "failed"


def test_access_details_have_a_shape(sides):
    lease = lease_of(sides)
    for details in ({}, {"host": ["x"]}, {"host": None}, "x", {str(n): "x" for n in range(21)}):
        answer = sides[1].caller.send("PUT", f"/leases/{lease.pk}/access", {"details": details})
        assert answer.status == 422, details


def test_a_page_costs_the_same_however_many_leases_there_are(sides):
    caller: Caller = sides[0].caller

    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            assert caller.get("/leases").status == 200
        return len(captured)

    lease_of(sides)
    queries()  # the key's last use is noted once
    first = queries()
    for _ in range(4):
        lease_of(sides)
    assert queries() == first


def test_pages_follow_one_another(sides):
    ids = sorted(str(lease_of(sides).pk) for _ in range(3))
    first = sides[0].caller.get("/leases?limit=2").json
    second = sides[0].caller.get(f"/leases?limit=2&cursor={first['next']}").json
    assert [row["id"] for row in first["results"] + second["results"]] == ids
    assert second["next"] is None
