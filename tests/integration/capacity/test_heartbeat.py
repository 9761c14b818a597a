"""Heartbeats: cheap while all is well, told to the books when not; silence is found by a sweep."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.models import AuditRow
from core.errors import InvalidInput
from exchange.capacity import services
from exchange.capacity.models import BookEvent, Centre, Pool
from exchange.capacity.services import PoolReport
from tests.integration.capacity.builders import NOW, centre, pool, provider

pytestmark = pytest.mark.usefixtures("reference")
SILENCE = timedelta(seconds=180)


def beat(actor, at, *reports, now=NOW):
    return services.heartbeat(actor=actor, centre_id=at.id, reports=reports, now=now)


def told() -> int:
    return BookEvent.objects.count()


def test_a_quiet_heartbeat_only_notes_the_time():
    actor = provider()
    at = centre(actor)
    pool(actor, at)
    before = told(), AuditRow.objects.count()
    result = beat(actor, at, PoolReport("p1", "healthy", 64))
    assert (result.was_unreachable, result.changed) == (False, ())
    assert Centre.objects.get().last_heartbeat_at == NOW
    assert (told(), AuditRow.objects.count()) == before


def test_an_older_heartbeat_does_not_turn_time_back():
    actor = provider()
    at = centre(actor)
    beat(actor, at)
    beat(actor, at, now=NOW - timedelta(minutes=1))
    assert Centre.objects.get().last_heartbeat_at == NOW


def test_a_defect_lowers_what_is_sold():
    actor = provider()
    at = centre(actor)
    made = pool(actor, at)
    result = beat(actor, at, PoolReport("p1", "degraded", 60))
    assert [changed.id for changed in result.changed] == [made.id]
    made.refresh_from_db()
    assert (made.units, made.available_units, made.health) == (64, 60, "degraded")
    assert BookEvent.objects.order_by("-id").first().payload["units"] == 60


def test_bad_reports_are_all_named_and_nothing_moves():
    actor = provider()
    at = centre(actor)
    pool(actor, at)
    with pytest.raises(InvalidInput) as refused:
        beat(
            actor,
            at,
            PoolReport("p1", "unreachable", 65),
            PoolReport("ghost", "healthy"),
        )
    assert [problem.field for problem in refused.value.fields] == [
        "pools.0.health",
        "pools.0.available_units",
        "pools.1.code",
    ]
    assert Centre.objects.get().last_heartbeat_at is None


def test_silence_gives_up_the_centre_and_a_heartbeat_brings_it_back():
    actor = provider()
    at = centre(actor)
    made, kept = pool(actor, at), pool(actor, at, "p2")
    services.change_pool(actor=actor, pool_id=kept.id, health="maintenance", now=NOW)
    beat(actor, at)
    on_time, late = NOW + SILENCE, NOW + SILENCE + timedelta(seconds=1)

    assert services.give_up_silent_centres(now=on_time, silence=SILENCE) == []
    assert services.give_up_silent_centres(now=late, silence=SILENCE) == [at.id]
    assert services.give_up_silent_centres(now=late, silence=SILENCE) == []
    assert not Centre.objects.get().is_reachable
    health = dict(Pool.objects.values_list("code", "health"))
    assert health == {"p1": "unreachable", "p2": "maintenance"}
    last = {event.subject_id: event.payload["units"] for event in BookEvent.objects.order_by("id")}
    assert last == {made.id: 0, kept.id: 0}

    result = beat(actor, at, now=late)
    assert result.was_unreachable
    assert Centre.objects.get().is_reachable
    health = dict(Pool.objects.values_list("code", "health"))
    assert health == {"p1": "healthy", "p2": "maintenance"}
    last = {event.subject_id: event.payload["units"] for event in BookEvent.objects.order_by("id")}
    assert last == {made.id: 64, kept.id: 0}
    assert AuditRow.objects.filter(action="centre.heartbeat").count() == 1


def test_a_centre_that_never_sent_one_is_not_watched():
    actor = provider()
    pool(actor, centre(actor))
    far = NOW + timedelta(days=9)
    assert services.give_up_silent_centres(now=far, silence=SILENCE) == []


def test_statements_do_not_grow_with_pools():
    actor = provider()
    counts = []
    for name, pools in (("c1", 2), ("c2", 20)):
        at = centre(actor, name)
        for number in range(pools):
            pool(actor, at, f"p{number}")
        reports = [PoolReport(f"p{number}", "degraded", 1) for number in range(pools)]
        with CaptureQueriesContext(
            connection,
        ) as quiet:
            beat(actor, at)
        with CaptureQueriesContext(connection) as busy:
            beat(actor, at, *reports)
        counts.append((len(quiet), len(busy)))
    assert counts[0] == counts[1]
    assert counts[0][0] <= 5
