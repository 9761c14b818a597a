"""The event stream: in order, without a gap, short, and few at a time."""

import time
from datetime import timedelta

import pytest
from django.db import transaction

from api import streaming as stream
from core import clock, outbox, services
from core.models import OutboxEvent
from tests.api.client import register


def publish(*organisations):
    with transaction.atomic():
        outbox.emit_many(
            OutboxEvent(
                kind="test.happened",
                organisation_id=organisation,
                subject_id="01a208ed-720a-74eb-b0bb-9f59462bc306",
                payload={"n": number},
                occurred_at=clock.now(),
            )
            for number, organisation in enumerate(organisations)
        )


def relay(at_least):
    done, ends = 0, time.monotonic() + 20
    while done < at_least and time.monotonic() < ends:
        done += outbox.relay()
    assert done >= at_least


def events(answer):
    blocks = [b for b in answer.content.decode().split("\n\n") if b.startswith("id:")]
    return [block.splitlines()[0].removeprefix("id: ") for block in blocks]


def test_own_and_public_events_after_the_last_one_seen(fresh_database):
    one, two = register(), register()
    relay(6)  # registered, submitted, verified, twice
    start = int(events(one.caller.get("/stream?after=0&seconds=0"))[-1])
    publish(None, one.organisation.id, two.organisation.id, None)
    relay(4)
    seen = events(one.caller.get("/stream?seconds=0", **{"Last-Event-ID": str(start)}))
    assert seen == ["7", "8", "10"]
    assert events(two.caller.get("/stream?after=7&seconds=0")) == ["9", "10"]
    assert events(two.caller.get("/stream?seconds=0")) == [], "without a position it begins now"
    answer = one.caller.get("/stream?after=9&seconds=0")
    assert answer.headers["Content-Type"] == "text/event-stream"
    assert answer.headers["X-Accel-Buffering"] == "no"
    assert b"event: test.happened\ndata: {" in answer.content


def test_a_reader_that_comes_too_late_is_told(fresh_database):
    party = register()
    relay(3)
    now = clock.now()
    publish(None)
    relay(1)
    with transaction.atomic():
        aged = OutboxEvent(
            kind="test.happened",
            subject_id="01a208ed-720a-74eb-b0bb-9f59462bc306",
            occurred_at=now + timedelta(days=31),
        )
        outbox.emit_many([aged])
    relay(1)
    assert services.prune_outbox(keep=timedelta(days=30), now=now + timedelta(days=31)) == 4
    for late in (0, 3):
        answer = party.caller.get(f"/stream?after={late}&seconds=0")
        assert (answer.status, answer.json["first_position"]) == (410, 5)
        assert answer.json["type"].endswith("/problems/events-forgotten")
    assert events(party.caller.get("/stream?after=4&seconds=0")) == ["5"]
    assert events(party.caller.get("/stream?seconds=0")) == []


def test_a_stream_ends_by_itself_and_gives_its_place_back(fresh_database, monkeypatch):
    monkeypatch.setattr(stream, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(stream, "HEARTBEAT_SECONDS", 0.2)
    party = register()
    begun = time.monotonic()
    for _ in range(2):
        answer = party.caller.get("/stream?seconds=1")
        assert answer.status == 200
        assert b": still here" in answer.content
    assert 1.9 < time.monotonic() - begun < 5


def test_a_stream_too_many(fresh_database):
    party = register()
    taken = 0
    while stream._places.acquire(blocking=False):
        taken += 1
    try:
        answer = party.caller.get("/stream?seconds=1")
        assert (answer.status, answer.json["type"]) == (503, "/problems/streams-full")
        assert answer.headers["Retry-After"] == "5"
        assert party.caller.get("/stream?seconds=0").status == 200
    finally:
        for _ in range(taken):
            stream._places.release()


@pytest.mark.django_db
@pytest.mark.parametrize("last", ["x", "-1", "9" * 19, "1.5"])
def test_ids_that_are_none(last):
    answer = register().caller.get("/stream", **{"Last-Event-ID": last})
    assert (answer.status, answer.json["errors"][0]["field"]) == (422, "Last-Event-ID")
