"""The outbox loses its oldest end only: by the sweep, in batches, and by nothing else."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from django.db import IntegrityError, transaction

from core import outbox, selectors, services
from core.models import OutboxEvent, OutboxPosition
from core.verify import checks

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
DAY = timedelta(days=1)


def emit(*ages: int) -> None:
    with transaction.atomic():
        outbox.emit_many(
            OutboxEvent(kind="test.happened", subject_id=uuid.uuid4(), occurred_at=NOW - age * DAY)
            for age in ages
        )


def number(at_least: int) -> None:
    """Other sessions of a shared server may hold the horizon back for a moment."""
    done, ends = 0, time.monotonic() + 20
    while done < at_least and time.monotonic() < ends:
        done += outbox.relay()
    assert done >= at_least


@pytest.fixture
def aged(fresh_database):
    """Numbered events of these ages in days, and one of long ago that has no number yet."""
    emit(90, 60, 40, 31, 29, 40, 8, 6, 0)
    number(9)
    emit(99)


def kept() -> list[int]:
    return list(OutboxPosition.objects.order_by("position").values_list("position", flat=True))


def numbered_well() -> bool:
    return next(finding.ok for finding in checks() if finding.check == "outbox.numbered")


@pytest.mark.parametrize("limit", [1, 3, 4, 100])
def test_what_is_old_goes_from_the_front_in_batches(aged, limit):
    assert services.prune_outbox(keep=30 * DAY, now=NOW, limit=limit) == 4
    # The sixth is old too, and behind one that is not.
    assert kept() == [5, 6, 7, 8, 9]
    assert OutboxEvent.objects.count() == 6
    assert (selectors.first_position(), selectors.last_position()) == (5, 9)
    assert numbered_well()
    assert services.prune_outbox(keep=30 * DAY, now=NOW, limit=limit) == 0
    number(1)
    assert (kept()[-1], numbered_well()) == (10, True)


def test_a_sweep_does_not_more_than_its_batches(aged):
    assert services.prune_outbox(keep=30 * DAY, now=NOW, limit=1, batches=2) == 2
    assert kept()[0] == 3


def test_the_newest_stays_and_says_where_the_stream_stands(fresh_database):
    emit(90, 90, 60)
    number(3)
    assert services.prune_outbox(keep=30 * DAY, now=NOW) == 2
    assert (kept(), selectors.last_position()) == ([3], 3)
    assert numbered_well()


def test_the_last_week_is_kept_whatever_is_asked(aged):
    with pytest.raises(IntegrityError, match="younger than a week"):
        services.prune_outbox(keep=DAY, now=NOW)
    assert kept()[0] == 1
    assert services.prune_outbox(keep=7 * DAY, now=NOW) == 7


def test_nothing_is_pruned_beside_a_relay_at_work(aged, app_connection):
    app_connection.execute("SELECT 1 FROM core_outboxrelay FOR UPDATE")
    assert services.prune_outbox(keep=30 * DAY, now=NOW) == 0
    app_connection.rollback()
    assert services.prune_outbox(keep=30 * DAY, now=NOW) == 4


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM core_outboxposition WHERE position = 3",
        "DELETE FROM core_outboxposition",
        "DELETE FROM core_outboxevent WHERE id = (SELECT max(id) FROM core_outboxevent)",
        "UPDATE core_outboxevent SET payload = '{}'",
        "UPDATE core_outboxposition SET position = position + 100",
        "TRUNCATE core_outboxevent CASCADE",
        "UPDATE core_outboxrelay SET first_position = 9",
        "UPDATE core_outboxrelay SET first_position = 0",
        "UPDATE core_outboxrelay SET first_position = last_position + 1",
    ],
)
@pytest.mark.parametrize("role", ["app", "owner"])
def test_by_hand_neither_role_takes_anything(aged, role, statement, request):
    raw = request.getfixturevalue(f"{role}_connection")
    refusals = (psycopg.errors.RestrictViolation, psycopg.errors.InsufficientPrivilege)
    with pytest.raises(refusals):
        raw.execute(statement)
    raw.rollback()
    assert len(kept()) == 9
    assert OutboxEvent.objects.count() == 10


def test_the_app_role_may_not_delete_what_lies_before_the_beginning_either(aged, app_connection):
    app_connection.execute("UPDATE core_outboxrelay SET first_position = 4")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        app_connection.execute("DELETE FROM core_outboxposition WHERE position < 4")
