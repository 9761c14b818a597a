"""The verbs of periods: keep one open, cut it off, close it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import transaction

from accounts import audit
from accounts.actors import Actor
from billing.periods.errors import NoOpenPeriod
from billing.periods.locks import lock_open_period, share_open_period
from billing.periods.models import PeriodState, SettlementPeriod
from billing.periods.states import PERIOD_TRANSITIONS
from core.states import next_state
from ledger import periods as ledger
from ledger.errors import PeriodMoveRefused

_ATTEMPTS = 3


def ensure_open_period(*, now: datetime) -> SettlementPeriod:
    """The open period, kept open until the caller's transaction ends.

    Where there is none yet, that of the operator's present day is opened.
    """
    for _ in range(_ATTEMPTS):
        period = share_open_period()
        if period is not None:
            return period
        # None yet, or it was cut off while we waited: its successor is in sight of the next look.
        if not SettlementPeriod.objects.filter(state=PeriodState.OPEN).exists():
            day = _operator_date(now)
            SettlementPeriod.objects.bulk_create(
                [
                    SettlementPeriod(
                        date=day,
                        starts_at=_begins_at(day),
                        ends_at=_begins_at(day + _DAY),
                        ledger_period=ledger.open_period(),
                    )
                ],
                ignore_conflicts=True,
            )
    raise NoOpenPeriod("The next period is just being opened; try again.")


def hold_the_books() -> None:
    """Let nothing be posted until the caller's transaction ends; waits for what is being posted.

    For a transaction that posts and then cuts off: to ask for this only at the cut-off could wait
    for somebody who waits for what was posted.
    """
    ledger.hold_still()


def cut_off(*, actor: Actor, closing_codes: Collection[str], now: datetime) -> SettlementPeriod:
    """Set the open period to closing and open the next one, in one transaction.

    The ledger's period goes with it; ``closing_codes`` are what may still be posted into it.

    Business goes on: charges that come later are in the next period. The cut-off may come before
    the day is over (then the next period begins early) or after (days without a cut-off have
    none). Returns the period that closes.
    """
    actor.require_operator("settlement_clerk")
    with transaction.atomic():
        period = lock_open_period()
        if period is None:
            raise NoOpenPeriod("There is no open period to cut off, or another cut-off runs.")
        period.state = next_state(
            PERIOD_TRANSITIONS, period.state, "cut_off", what=f"period {period.date}"
        )
        period.ends_at = max(now, period.starts_at + timedelta(microseconds=1))
        period.save(update_fields=["state", "ends_at"])
        day = max(period.date + _DAY, _operator_date(now))
        _, books = ledger.open_next_period(
            name=day.isoformat(), now=now, closing_codes=closing_codes
        )
        SettlementPeriod.objects.create(
            date=day,
            starts_at=period.ends_at,
            ends_at=_begins_at(day + _DAY),
            ledger_period=books,
        )
        if not actor.is_system:
            audit.record(
                actor=actor,
                action="period.cut_off",
                subject_kind="settlement_period",
                subject_id=str(period.pk),
                before={"state": "open"},
                after={"state": period.state, "date": period.date},
                now=now,
            )
    return period


def is_due(*, now: datetime) -> bool:
    """Whether the open period has come to its planned end."""
    return SettlementPeriod.objects.filter(state=PeriodState.OPEN, ends_at__lte=now).exists()


def close(*, period: SettlementPeriod, now: datetime) -> None:
    """Seal a locked, closing period."""
    period.state = next_state(
        PERIOD_TRANSITIONS, period.state, "close", what=f"period {period.date}"
    )
    period.closed_at = now
    period.save(update_fields=["state", "closed_at"])


def close_books(*, now: datetime) -> int:
    """Close the ledger's periods of the days that are settled; returns how many.

    A day without charges is never settled by itself: it closes with the next one that is. Not in
    the transaction that settles, which has posted and must not wait for others who post.
    """
    settled = (
        SettlementPeriod.objects.filter(state=PeriodState.CLOSED)
        .order_by("-ledger_period_id")
        .values_list("ledger_period_id", flat=True)
        .first()
    )
    closed = 0
    for period_id in [] if settled is None else ledger.closing_periods(up_to=settled):
        try:
            ledger.close_period(period_id, now=now)
            closed += 1
        except PeriodMoveRefused:
            # Whoever settled at the same time may have closed it since it was listed.
            if period_id in ledger.closing_periods(up_to=period_id):
                raise
    ledger.keep_balances(now=now)
    return closed


_DAY = timedelta(days=1)


def _zone() -> ZoneInfo:
    return ZoneInfo(settings.OPERATOR_TIME_ZONE)


def _operator_date(at: datetime) -> date:
    return at.astimezone(_zone()).date()


def _begins_at(day: date) -> datetime:
    return datetime.combine(day, time(0), tzinfo=_zone())
