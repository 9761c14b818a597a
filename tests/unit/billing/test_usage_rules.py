"""Every rule of a usage record, by name, at its very edge."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from billing.metering.rules import LeaseFacts, ReportedUse, deliverable_unit_seconds, problems_of

START = datetime(2026, 11, 23, 8, tzinfo=UTC)
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
LEASE = LeaseFacts(
    units=4,
    activated_at=START + 10 * SECOND,
    ends_at=START + 2 * HOUR,
    report_until_at=START + 8 * HOUR,
)
USE = ReportedUse(
    lease_id=uuid.UUID(int=5),
    source_record_id="r1",
    period_start_at=START + 10 * SECOND,
    period_end_at=START + HOUR,
    active_unit_seconds=4 * 3590,
)
NOW = START + 2 * HOUR


def fields(use: ReportedUse, lease: LeaseFacts = LEASE, now: datetime = NOW) -> list[str]:
    return [problem.field for problem in problems_of(use, lease, now=now)]


@pytest.mark.parametrize(
    "use",
    [
        USE,
        replace(USE, active_unit_seconds=0),
        replace(USE, period_end_at=START + 2 * HOUR),
        replace(USE, period_end_at=USE.period_start_at + SECOND, active_unit_seconds=4),
    ],
)
def test_what_keeps_every_rule_has_no_problem(use):
    assert fields(use) == []


@pytest.mark.parametrize(
    ("use", "lease", "now", "expected"),
    [
        (replace(USE, period_end_at=USE.period_start_at), LEASE, NOW, ["period_end_at"]),
        (replace(USE, period_end_at=START), LEASE, NOW, ["period_end_at"]),
        (USE, LEASE, START + HOUR - SECOND, ["period_end_at"]),
        (USE, LEASE, START + 8 * HOUR + SECOND, ["lease_id"]),
        (USE, replace(LEASE, activated_at=None), NOW, ["lease_id"]),
        (
            replace(USE, period_start_at=START + 9 * SECOND),
            LEASE,
            NOW,
            ["period_start_at"],
        ),
        (USE, replace(LEASE, ends_at=START + HOUR - SECOND), NOW, ["period_end_at"]),
        (replace(USE, active_unit_seconds=4 * 3590 + 1), LEASE, NOW, ["active_unit_seconds"]),
        (replace(USE, active_unit_seconds=-1), LEASE, NOW, ["active_unit_seconds"]),
        (
            replace(
                USE,
                period_start_at=START,
                period_end_at=START + 3 * HOUR,
                active_unit_seconds=10**12,
            ),
            LEASE,
            NOW,
            ["period_end_at", "period_start_at", "period_end_at", "active_unit_seconds"],
        ),
    ],
)
def test_each_broken_rule_is_named(use, lease, now, expected):
    assert fields(use, lease, now) == expected


def test_suspended_seconds_cannot_be_delivered():
    lease = replace(
        LEASE,
        suspended=[
            (START + 600 * SECOND, START + 900 * SECOND),
            (START + HOUR - 60 * SECOND, None),
        ],
    )
    most = deliverable_unit_seconds(USE.period_start_at, USE.period_end_at, lease)
    assert most == 4 * (3590 - 300 - 60)
    assert fields(replace(USE, active_unit_seconds=most), lease) == []
    assert fields(replace(USE, active_unit_seconds=most + 1), lease) == ["active_unit_seconds"]


def test_part_seconds_count_in_whole_unit_seconds():
    half = replace(USE, period_end_at=USE.period_start_at + timedelta(milliseconds=1_499))
    assert deliverable_unit_seconds(half.period_start_at, half.period_end_at, LEASE) == 5
