"""Unified access over HTTP: shapes, refusals, tenancy, statements for a list."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from core import clock
from core.slots import slot_of, slot_start_at
from exchange.capacity.models import Centre, Pool
from exchange.market.models import Offer
from tests.api.client import Caller, Party, operator_staff, register
from tests.integration.capacity.builders import NPU, load_reference

CENTRE = {
    "code": "c1",
    "name": "河洛智算一号",
    "region": "luoyang",
    "standard_racks": 50,
    "pue": "1.250",
    "green_share": "0.5000",
}
CSV = (
    "kind,code,name,region,standard_racks,pue,green_share,centre,grade,units,pool,start_at,end_at,"
    "prices,max_duration_slots\n"
    "centre,c9,Nine,luoyang,50,1.25,0.5,,,,,,,,\n"
    "pool,p9,,,,,,c9,intelligent.ascend-910b.1,8,,,,,\n"
    "offer,,,,,,,c9,,{units},p9,{start},{end},5.10,24\n"
)


def csv_file(*, units: int) -> bytes:
    """A file of three rows; its offer is for the whole of tomorrow."""
    start = slot_start_at(slot_of(clock.now()) + 24)
    window = {"start": start.isoformat(), "end": (start + timedelta(days=1)).isoformat()}
    return CSV.format(units=units, **window).encode()


@pytest.fixture
def provider(db) -> Party:
    load_reference()
    return register("provider")


@pytest.fixture
def centre(provider: Party) -> dict:
    return provider.caller.post("/centres", CENTRE).json


@pytest.fixture
def pool(provider: Party, centre: dict) -> dict:
    body = {"centre_id": centre["id"], "code": "p1", "grade": NPU, "units": 64}
    return provider.caller.post("/pools", body).json


def fields(answer) -> list[str]:
    return [bad["field"] for bad in answer.json["errors"]]


class TestReferenceData:
    @pytest.mark.parametrize("path", ["/regions", "/links", "/device-models", "/grades"])
    def test_it_is_public_and_paged(self, provider, path):
        first = Caller().get(f"{path}?limit=3")
        assert first.status == 200
        assert len(first.json["results"]) == 3
        second = Caller().get(f"{path}?limit=3&cursor={first.json['next']}")
        assert second.status == 200
        assert not [row for row in second.json["results"] if row in first.json["results"]]

    def test_what_is_shown(self, provider):
        regions = {row["code"]: row for row in Caller().get("/regions?limit=200").json["results"]}
        assert regions["luoyang"] == {
            "code": "luoyang",
            "name_zh": "洛阳市",
            "name_en": "Luoyang",
            "kind": "city",
            "role": "pole",
            "parent": "henan",
            "latitude": "34.61970",
            "longitude": "112.45400",
        }
        models = {r["code"]: r for r in Caller().get("/device-models?limit=200").json["results"]}
        assert models["ascend-910b"]["is_domestic"] is True
        assert models["ascend-910b"]["figures"][0]["kind"] == "vendor"
        grades = Caller().get("/grades?resource_class=quantum").json["results"]
        assert {row["book"] for row in grades} == {"quantum"}

    def test_links_are_changed_by_the_operator_alone(self, provider):
        staff = operator_staff()
        carrier = register("carrier")
        link = Caller().get("/links?limit=1").json["results"][0]
        path = f"/links/{link['id']}"
        body = {"carrier_id": str(carrier.organisation.id), "price_per_gb": "0.012500"}
        assert provider.caller.send("PATCH", path, body).status == 403
        answer = staff["market"].send("PATCH", path, body)
        assert answer.status == 200
        assert answer.json == link | body
        wrong = {"carrier_id": str(provider.organisation.id)}
        assert fields(staff["market"].send("PATCH", path, wrong)) == ["carrier_id"]
        assert staff["market"].send("PATCH", "/links/999999", body).status == 404


class TestCentres:
    def test_from_registration_to_hours(self, provider, centre):
        assert centre | CENTRE == centre
        assert centre["is_reachable"] is True
        path = f"/centres/{centre['id']}"
        changed = provider.caller.send("PATCH", path, {"pue": "1.190"})
        assert changed.json["pue"] == "1.190"
        hours = [
            {
                "start_at": f"2099-01-01T{hour:02}:00:00Z",
                "power_price_per_kwh": "0.300000",
                "green_share": "0.8000",
            }
            for hour in range(24)
        ]
        put = provider.caller.send("PUT", f"{path}/hours", {"hours": hours})
        assert (put.status, put.json) == (200, {"hours": hours})
        query = "from_at=2099-01-01T03:00:00Z&to_at=2099-01-01T05:00:00Z"
        got = provider.caller.get(f"{path}/hours?{query}")
        assert got.json == {"hours": hours[3:5]}
        beat = provider.caller.post(f"{path}/heartbeat", {})
        assert (beat.status, beat.json["was_unreachable"], beat.json["changed_pools"]) == (
            200,
            False,
            0,
        )
        assert provider.caller.get(path).json["last_heartbeat_at"] == beat.json["received_at"]

    @pytest.mark.parametrize(
        ("body", "named"),
        [
            ({}, ["code", "name", "region", "standard_racks", "pue", "green_share"]),
            (CENTRE | {"pue": "NaN"}, ["pue"]),
            (CENTRE | {"pue": "0.5", "green_share": "2"}, ["pue", "green_share"]),
            (CENTRE | {"region": "atlantis"}, ["region"]),
            (CENTRE | {"standard_racks": 10**30}, ["standard_racks"]),
            (CENTRE | {"colour": "red"}, ["colour"]),
        ],
    )
    def test_bad_fields_are_named(self, provider, body, named):
        answer = provider.caller.post("/centres", body)
        assert answer.status == 422
        assert fields(answer) == named
        assert not Centre.objects.exists()

    def test_bad_hours(self, provider, centre):
        path = f"/centres/{centre['id']}/hours"
        hour = {"start_at": "2099-01-01T00:30:00Z", "power_price_per_kwh": 1, "green_share": "0.5"}
        answer = provider.caller.send("PUT", path, {"hours": [hour]})
        assert fields(answer) == ["hours.0.start_at", "hours.0.power_price_per_kwh"]

    def test_a_code_twice_is_a_conflict(self, provider, centre):
        answer = provider.caller.post("/centres", CENTRE)
        assert (answer.status, answer.json["type"]) == (409, "/problems/code-taken")


class TestPools:
    def test_from_registration_to_withdrawal(self, provider, pool):
        assert (pool["units"], pool["available_units"], pool["is_open"]) == (64, 64, True)
        path = f"/pools/{pool['id']}"
        changed = provider.caller.send("PATCH", path, {"available_units": 60})
        assert (changed.json["units"], changed.json["available_units"]) == (64, 60)
        states = [
            provider.caller.post(f"{path}/{verb}").json["state"]
            for verb in ("pause", "resume", "withdraw")
        ]
        assert states == ["paused", "active", "withdrawn"]
        again = provider.caller.post(f"{path}/resume")
        assert (again.status, again.json["type"]) == (409, "/problems/transition-refused")
        assert again.json["allowed"] == []

    def test_bad_fields_are_named(self, provider, centre):
        body = {"centre_id": centre["id"], "code": "p", "grade": "abacus", "units": 1}
        assert fields(provider.caller.post("/pools", body)) == ["grade"]
        assert fields(provider.caller.post("/pools", body | {"units": -1})) == ["units"]


class TestTenancy:
    def test_a_stranger_finds_nothing(self, centre, pool):
        stranger = register("provider").caller
        hour = {
            "start_at": "2099-01-01T00:00:00Z",
            "power_price_per_kwh": "1",
            "green_share": "0.5",
        }
        at, of = f"/centres/{centre['id']}", f"/pools/{pool['id']}"
        attempts = [
            ("GET", at, None),
            ("PATCH", at, {"name": "Mine"}),
            ("GET", f"{at}/hours?from_at=2099-01-01T00:00:00Z&to_at=2099-01-02T00:00:00Z", None),
            ("PUT", f"{at}/hours", {"hours": [hour]}),
            ("POST", f"{at}/heartbeat", {}),
            ("POST", "/pools", {"centre_id": centre["id"], "code": "x", "grade": NPU, "units": 1}),
            ("GET", of, None),
            ("PATCH", of, {"units": 1}),
            ("POST", f"{of}/pause", None),
            ("POST", f"{of}/resume", None),
            ("POST", f"{of}/withdraw", None),
        ]
        statuses = [stranger.send(*attempt).status for attempt in attempts]
        assert statuses == [404] * len(attempts)
        assert stranger.get("/centres").json["results"] == []
        assert stranger.get("/pools").json["results"] == []
        assert Pool.objects.get().state == "active"

    def test_who_has_no_key_is_asked_for_one(self, centre):
        assert Caller().get("/centres").status == 401
        assert Caller().get("/capacity").status == 401

    def test_an_unverified_provider_registers_nothing(self, provider):
        draft = register("provider", verified=False)
        assert draft.caller.post("/centres", CENTRE).status == 403


class TestImport:
    def test_a_csv_file(self, provider):
        answer = provider.caller.send(
            "POST",
            "/imports/capacity",
            raw=csv_file(units=8),
            content_type="text/csv",
        )
        assert (answer.status, answer.json) == (201, {"centres": 1, "pools": 1, "offers": 1})

    def test_a_bad_file_names_its_rows_and_stores_nothing(self, provider):
        answer = provider.caller.send(
            "POST",
            "/imports/capacity",
            raw=csv_file(units=9),
            content_type="text/csv",
        )
        assert (answer.status, answer.json["type"]) == (422, "/problems/capacity-file-refused")
        assert answer.json["bad_rows"] == 1
        (bad,) = answer.json["errors"]
        assert (bad["row"], bad["kind"], bad["field"]) == (4, "offer", "lines.4.units")
        assert not Centre.objects.exists()
        assert not Offer.objects.exists()

    def test_json_and_nonsense(self, provider):
        row = {**CENTRE, "code": "c7"}
        good = provider.caller.post("/imports/capacity", {"centres": [row]})
        assert good.json == {"centres": 1, "pools": 0, "offers": 0}
        for body in ({}, {"centres": 7}, {"centres": [7]}, {"racks": []}):
            assert provider.caller.post("/imports/capacity", body).status == 422
        raw = provider.caller.send("POST", "/imports/capacity", raw=b'{"centres": [')
        assert raw.status == 400


class TestSearch:
    def test_what_a_buyer_sees(self, pool):
        buyer = register("buyer").caller
        found = buyer.get("/capacity?resource_class=intelligent&min_fp16_tflops=300&region=henan")
        (row,) = found.json["results"]
        assert (row["pool_id"], row["free_units"]) == (pool["id"], 64)
        assert row["lowest_price_per_unit_hour"] is None
        assert row["centre"]["region"] == "luoyang"
        assert "provider" not in str(row)
        assert buyer.get("/capacity?min_fp64_tflops=1").json["results"] == []

    @pytest.mark.parametrize(
        ("query", "named"),
        [
            ("resource_class=magic", "resource_class"),
            ("min_fp64_tflops=NaN", "min_fp64_tflops"),
            ("rtt_region=zhengzhou", "max_rtt_ms"),
            ("start_at=2099-01-01T00:00:00Z", "end_at"),
            ("start_at=2099-01-02T00:00:00Z&end_at=2099-01-01T00:00:00Z", "end_at"),
            ("max_price_per_unit_hour=cheap", "max_price_per_unit_hour"),
            ("units=-1", "units"),
            ("colour=red", "colour"),
        ],
    )
    def test_bad_queries_are_named(self, provider, query, named):
        answer = provider.caller.get(f"/capacity?{query}")
        assert (answer.status, fields(answer)) == (422, [named])


def test_lists_take_as_many_statements_for_many_rows(provider, centre):
    def count(path: str) -> int:
        with CaptureQueriesContext(connection) as queries:
            assert provider.caller.get(path).status == 200
        return len(queries)

    paths = ["/centres", "/pools", "/capacity", "/capacity?rtt_region=zhengzhou&max_rtt_ms=9"]
    for path in paths:
        count(path)
    before = [count(path) for path in paths]
    rows = {
        "centres": [CENTRE | {"code": f"m{n}"} for n in range(20)],
        "pools": [{"centre": f"m{n}", "code": "p", "grade": NPU, "units": 1} for n in range(20)],
    }
    assert provider.caller.post("/imports/capacity", rows).status == 201
    # The prefetch of figures is one statement more once there is a row at all.
    assert [count(path) - was for path, was in zip(paths, before, strict=True)] == [0, 0, 1, 1]
