"""The market's stream: in order from where one was, as things stand, and without names."""

from __future__ import annotations

import json
import time
from datetime import timedelta

import pytest

from api import streaming
from core import clock, outbox
from core.models import OutboxEvent
from core.slots import slot_start_at
from exchange.market import matching, snapshots
from exchange.market import selectors as market
from exchange.market.orderly import services as orderly
from exchange.market.orderly.publishing import publish_index
from tests import factories
from tests.api.client import register
from tests.integration.capacity.builders import load_reference
from tests.integration.market import builders as make

WINDOW = {"duration_hours": 2, "latest_end_at": slot_start_at(make.SLOT + 3)}
NPU = make.NPU


@pytest.fixture
def reader(fresh_database, empty_cache, monkeypatch):
    """A member before a market with one trade, one resting order and one offer."""
    load_reference()
    matching.forget_states()
    monkeypatch.setattr(clock, "now", lambda: make.NOW)
    make.offered_pool(make.seller(), units=4, price="9")
    make.match()
    make.place(make.funded_buyer(), units=4, limit="10", **WINDOW)
    make.place(make.funded_buyer(), units=2, limit="5", **WINDOW)
    make.match()
    party = register("buyer")
    monkeypatch.undo()
    monkeypatch.setattr("api.v1.market.stream.clock.now", lambda: make.NOW)
    number_all()
    yield party.caller
    matching.forget_states()


def number_all() -> None:
    """Until every event has its place: another test's transaction may hold some back."""
    ends = time.monotonic() + 20
    while OutboxEvent.objects.filter(numbered=None).exists() and time.monotonic() < ends:
        outbox.relay()


def told(answer) -> list[tuple[int, str, dict]]:
    found = []
    for block in answer.content.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if ": " in line)
        if "event" in fields:
            found.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
    return found


def kinds(answer) -> list[str]:
    return [kind for _, kind, _ in told(answer)]


def test_trades_in_order_and_prices_as_they_stand_without_names(reader):
    answer = reader.get(f"/market/stream?after=0&seconds=0&grade={NPU}")
    assert answer.headers["Content-Type"] == "text/event-stream"
    found = told(answer)
    assert [kind for _, kind, _ in found] == [
        "market.trade",
        "market.best_prices",
        "market.depth",
    ]
    trade, best, depth = (data for _, _, data in found)
    assert set(trade) == {
        "id",
        "occurred_at",
        "grade",
        "region",
        "units",
        "price_per_unit_hour",
        "starts_at",
        "ends_at",
    }
    assert (trade["grade"], trade["price_per_unit_hour"]) == (NPU, "9.000000")
    assert best["book"] == "intelligent"
    assert best["version"] == make.book().version
    assert best["results"] == [
        {
            "grade": NPU,
            "region": "zhengzhou",
            "offer_price": "9.000000",
            "offered_units": 4,
            "bid_price": "5.000000",
            "bid_units": 2,
        }
    ]
    assert [(x["side"], x["price"], x["units"]) for x in depth["levels"]] == [
        ("offer", "9.000000", 4),
        ("bid", "5.000000", 2),
    ]


def test_who_comes_again_goes_on_where_it_was(reader):
    seen = told(reader.get(f"/market/stream?after=0&seconds=0&grade={NPU}"))[-1][0]
    again = reader.get("/market/stream?seconds=0", **{"Last-Event-ID": str(seen)})
    assert "market.trade" not in kinds(again)
    halt = orderly.halt_trading(
        actor=factories.operator("market"), book_code="intelligent", reason="x", now=make.NOW
    )
    make.match()
    publish_index(now=make.later(1))
    number_all()
    more = told(reader.get("/market/stream?seconds=0", **{"Last-Event-ID": str(seen)}))
    in_order = [(kind, data) for _, kind, data in more if kind != "market.best_prices"]
    assert [kind for kind, _ in in_order] == ["market.halted", "market.index"]
    assert in_order[0][1]["id"] == str(halt.id)
    assert (in_order[1][1]["grade"], in_order[1][1]["price_per_unit_hour"]) == (NPU, "9.000000")
    assert in_order[1][1]["hour"] == slot_start_at(make.SLOT).isoformat()
    ids = [position for position, _, _ in more]
    assert ids == sorted(ids)
    assert ids[0] > seen
    assert "market.halted" not in kinds(reader.get("/market/stream?seconds=0"))


def test_a_reader_sees_the_grade_region_and_book_that_it_follows(reader):
    other = next(code for code in market.grade_codes().values() if code.startswith("general"))
    assert kinds(reader.get(f"/market/stream?after=0&seconds=0&grade={other}")) == [
        "market.best_prices",
        "market.depth",
    ]
    elsewhere = reader.get(f"/market/stream?after=0&seconds=0&grade={NPU}&region=luoyang")
    assert "market.trade" not in kinds(elsewhere)


def test_a_snapshot_is_sent_when_the_book_moves_and_not_otherwise(reader, monkeypatch):
    monkeypatch.setattr(streaming, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(streaming, "HEARTBEAT_SECONDS", 0.2)
    monkeypatch.setattr(snapshots, "FRESH_SECONDS", 0.0)
    answer = reader.get(f"/market/stream?seconds=1&grade={NPU}")
    assert kinds(answer) == ["market.best_prices", "market.depth"]
    assert b": still here" in answer.content
    heard = [b for b in answer.content.decode().split("\n\n") if "still here" in b]
    assert all(block.startswith("id: ") for block in heard)


def test_many_readers_read_a_book_once(reader, django_assert_num_queries, monkeypatch):
    monkeypatch.setattr(snapshots, "FRESH_SECONDS", 60.0)
    mark = snapshots.marks(at=make.NOW)[make.book().id]
    first = snapshots.best_prices(make.book().id, mark, at=make.NOW)
    book_id, newer = make.book().id, (mark[0] + 1, mark[1])
    with django_assert_num_queries(0):
        assert snapshots.best_prices(book_id, mark, at=make.NOW) == first
        assert snapshots.best_prices(book_id, newer, at=make.NOW).mark == mark, "not so soon"
    monkeypatch.setattr(snapshots, "FRESH_SECONDS", 0.0)
    assert snapshots.best_prices(book_id, newer, at=make.NOW).mark == newer
    # key, grades, last position, first position, marks, events; prices and depth are kept
    path = f"/market/stream?after=0&seconds=0&grade={NPU}"
    reader.get(path)
    with django_assert_num_queries(5):
        reader.get(path)


def test_without_the_cache_it_is_read_each_time(reader, settings, monkeypatch):
    def away(*_, **__):
        raise ConnectionError("Valkey is away")

    monkeypatch.setattr(snapshots.cache, "get", away)
    assert kinds(reader.get("/market/stream?seconds=0")).count("market.best_prices") == 5


def test_streams_of_all_kinds_share_the_places(reader):
    taken = 0
    while streaming._places.acquire(blocking=False):
        taken += 1
    try:
        answer = reader.get("/market/stream?seconds=1")
        assert (answer.status, answer.json["type"]) == (503, "/problems/streams-full")
        assert "/api/v1/market/stream?seconds=0" in answer.json["detail"]
    finally:
        for _ in range(taken):
            streaming._places.release()
    assert reader.get("/market/stream?seconds=0").status == 200


def test_bad_questions_name_their_field(reader):
    for query, field in (
        ("grade=none", "grade"),
        ("seconds=x", "seconds"),
        ("book=general", "book"),
    ):
        answer = reader.get(f"/market/stream?{query}")
        assert (answer.status, answer.json["errors"][0]["field"]) == (422, field)
    answer = reader.get("/market/stream", **{"Last-Event-ID": "x"})
    assert (answer.status, answer.json["errors"][0]["field"]) == (422, "Last-Event-ID")


def test_no_event_of_the_market_names_an_organisation(reader):
    orderly.halt_trading(
        actor=factories.operator("market"), region_code="henan", reason="x", now=make.NOW
    )
    make.match()
    publish_index(now=make.later(1))
    public = OutboxEvent.objects.filter(kind__startswith="market.")
    assert {event.kind for event in public} == {"market.trade", "market.index", "market.halted"}
    for event in public:
        assert event.organisation_id is None
        text = json.dumps(event.payload)
        assert not {"buyer", "seller", "order", "offer", "pool", "centre"} & set(event.payload)
        assert str(factories.Organisation.objects.first().id) not in text


def test_depth_over_a_range_of_hours(reader):
    first, last = slot_start_at(make.SLOT + 1), slot_start_at(make.SLOT + 3)
    provider = make.seller()
    pool = make.capacity.pool(provider, make.capacity.centre(provider), units=8)
    prices = [1_000_000] * 24
    prices[(make.SLOT + 1) % 24], prices[(make.SLOT + 2) % 24] = 6_000_000, 7_000_001
    make.offer(provider, pool, prices_micro=tuple(prices), units=6)
    make.match()

    def ask(from_at, to_at) -> list:
        span = f"from={from_at:%Y-%m-%dT%H:00:00Z}&to={to_at:%Y-%m-%dT%H:00:00Z}"
        levels = reader.get(f"/market/depth?grade={NPU}&{span}").json["levels"]
        return [(x["side"], x["price"], x["units"]) for x in levels]

    # The first pool is sold out in those two hours; the mean of 6 and 7.000001 is rounded up.
    assert ask(first, last) == [("offer", "6.500001", 6), ("bid", "5.000000", 2)]
    assert ask(last, last + timedelta(hours=1)) == [
        ("offer", "1.000000", 6),
        ("offer", "9.000000", 4),
    ]
    for query in ("from=2026-11-24T00:00:00Z", "from=2026-11-24T01:00:00Z&to=2026-11-24T01:00:00Z"):
        assert reader.get(f"/market/depth?grade={NPU}&{query}").status == 422
