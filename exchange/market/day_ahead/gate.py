"""An auction's way through its states: each step is one transaction, by the row's own deadlines.

Whoever is killed leaves the row where it was, and the sweep sends the next worker. Clearing is a
pure function of the frozen problem; the state, compared and set, lets one answer be stored.
"""

from __future__ import annotations

import json
import time
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import Q

from accounts import audit
from accounts.actors import Actor, system
from core import clock, outbox
from core.models import OutboxEvent
from core.slots import slot_start_at
from core.states import next_state
from core.wakeups import wake
from exchange.market import matching
from exchange.market.day_ahead import freezing, locks, publishing, returning, times
from exchange.market.day_ahead.models import (
    Auction,
    AuctionProblem,
    AuctionResult,
    AuctionState,
)
from exchange.market.day_ahead.requests import TimesRequest
from exchange.market.day_ahead.services import require_reason
from exchange.market.day_ahead.states import AUCTION_TRANSITIONS

log = structlog.get_logger(__name__)

AUCTION_WAKE_UP = "auction"
_STEPS = 8  # more than any auction has
_TURNS_AT_BOOKS = 50
_PAUSE_SECONDS = 0.05


def announce_due(*, now: datetime) -> int:
    """Announce the auctions that the timetable asks for; returns how many."""
    made = 0
    for day, schedule in times.due_days(now):
        auction = times.auction_of(TimesRequest(delivery_date=day), schedule=schedule, now=now)
        with transaction.atomic():
            if times.store(auction):
                _record(system("auction.announce"), auction, None, now)
                made += 1
    return made


def due_auctions(*, now: datetime) -> list[UUID]:
    """Auctions with something to be done."""
    due = Auction.objects.filter(
        Q(state=AuctionState.ANNOUNCED, opens_at__lte=now)
        | Q(state=AuctionState.OPEN, closes_at__lte=now)
        | Q(state__in=(AuctionState.CLOSED, AuctionState.CLEARED))
    )
    return list(due.order_by("id").values_list("id", flat=True))


def advance(*, auction_id: UUID, now: datetime) -> str:
    """Take an auction as far as it goes by now; returns the state in which it was left.

    May run in any number of workers at once, and be killed anywhere.
    """
    for _ in range(_STEPS):
        state = Auction.objects.values_list("state", flat=True).get(id=auction_id)
        step = {
            "announced": open_gate,
            "open": close_gate,
            "closed": clear_auction,
            "cleared": publish_auction,
        }.get(state)
        if step is None or not step(auction_id=auction_id, now=now):
            break
    return Auction.objects.values_list("state", flat=True).get(id=auction_id)


@transaction.atomic
def open_gate(*, auction_id: UUID, now: datetime) -> bool:
    """Let orders and offers in from `opens_at` on; whether this call did."""
    auction = locks.auction_for_update(auction_id)
    if auction.state != AuctionState.ANNOUNCED or now < auction.opens_at:
        return False
    auction.opened_at = now
    _move(auction, "open", now)
    return True


@transaction.atomic
def close_gate(*, auction_id: UUID, now: datetime) -> bool:
    """Close the gate from `closes_at` on, reserve what is offered, freeze what is asked."""
    auction = locks.auction_for_update(auction_id)
    if auction.state != AuctionState.OPEN or now < auction.closes_at:
        return False
    auction.closed_at = now
    _move(auction, "close", now)
    freezing.freeze(auction, now=now)
    wake(AUCTION_WAKE_UP, auction_id=str(auction.id))
    return True


@transaction.atomic
def clear_auction(*, auction_id: UUID, now: datetime) -> bool:
    """Answer the frozen problem and have the answer checked; whether the auction moved.

    What the engine cannot answer, or the checker does not accept, fails the auction. Nothing is
    written before the answer stands, so that the long transaction holds up nobody.
    """
    if not locks.only_one_clears(auction_id):
        return False
    auction = Auction.objects.get(id=auction_id)
    if auction.state != AuctionState.CLOSED:
        return False
    if now >= auction.clear_by_at:
        return _fail(auction_id, "it was not cleared by its deadline", now)
    frozen = AuctionProblem.objects.get(auction_id=auction_id)
    certificate, wrong = answer(frozen.document, seconds=auction.solver_seconds)
    if wrong:
        return _fail(auction_id, wrong, clock.now())
    auction = locks.auction_for_update(auction_id)
    if auction.state != AuctionState.CLOSED:
        return False
    checked_at = auction.cleared_at = clock.now()
    _move(auction, "clear", checked_at)
    _store(auction, certificate, checked_at)
    wake(AUCTION_WAKE_UP, auction_id=str(auction.id))
    return True


def answer(document: dict[str, Any], *, seconds: float) -> tuple[dict[str, Any], str]:
    """The certificate of a problem, and what is wrong with it in words (empty where nothing is)."""
    # The solver is loaded by those who clear, not by every process that knows of auctions.
    from exchange.market.auction import certificate, checker, clearing  # noqa: PLC0415
    from exchange.market.auction.problem import problem_from_json  # noqa: PLC0415
    from exchange.market.auction.validation import ProblemRefused  # noqa: PLC0415

    try:
        result = clearing.clear(problem_from_json(document), time_limit_s=seconds)
    except ProblemRefused as refused:
        return {}, f"the engine refused the problem: {refused}"
    except clearing.NoPricesExist:
        return {}, "there are no prices within the auction's limits"
    said: dict[str, Any] = json.loads(json.dumps(certificate.certificate(result)))
    findings = checker.check(document, said)
    if findings:
        log.error("auction_refused_by_checker", findings=[str(f) for f in findings[:20]])
        return said, f"the checker refused the answer: {findings[0]} ({len(findings)} findings)"
    return said, ""


def publish_auction(*, auction_id: UUID, now: datetime) -> bool:
    """Turn the answer into trades, in one transaction; whether the auction moved.

    It is a batch of every book that it trades in, so it waits for the batches that are open.
    """
    for _ in range(_TURNS_AT_BOOKS):
        try:
            with transaction.atomic():
                return _publish(auction_id, now)
        except publishing.BooksBusy as busy:
            written = [matching.match_book(book_id=book, now=now) for book in busy.book_ids]
            if not any(written):
                time.sleep(_PAUSE_SECONDS)
        except publishing.DoesNotAddUp as wrong:
            log.error("auction_does_not_add_up", auction=str(auction_id), reason=str(wrong))
            with transaction.atomic():
                return _fail(auction_id, f"what was published would not add up: {wrong}", now)
    return False


def cancel_auction(*, actor: Actor, auction_id: UUID, reason: str, now: datetime) -> Auction:
    """Call an auction off before it is published; everything held and reserved is given back."""
    actor.require_scope("operator")
    actor.require_operator("market")
    require_reason(reason)
    auction = locks.auction_for_update(auction_id)
    _move(auction, "cancel", now, reason=reason, actor=actor)
    returning.give_back(auction, now=now)
    return auction


def _publish(auction_id: UUID, now: datetime) -> bool:
    books = publishing.lock_books(auction_id)
    auction = locks.auction_for_update(auction_id)
    if auction.state != AuctionState.CLEARED:
        return False
    if now >= min(auction.publish_by_at, slot_start_at(auction.first_slot)):
        return _fail(auction_id, "it was not published by its deadline", now)
    if any(book.halts_in_force for book in books):
        return False  # nothing is traded in a halt; its deadline fails what waits too long
    publishing.require_free(books, auction)
    _move(auction, "publish", now)
    publishing.publish(auction, books, now=now)
    return True


def _fail(auction_id: UUID, reason: str, now: datetime) -> bool:
    auction = locks.auction_for_update(auction_id)
    if auction.state not in (AuctionState.CLOSED, AuctionState.CLEARED):
        return False
    log.error("auction_failed", auction=str(auction_id), reason=reason)
    _move(auction, "fail", now, reason=reason)
    returning.give_back(auction, now=now)
    return True


def _store(auction: Auction, said: dict[str, Any], checked_at: datetime) -> None:
    totals = said["totals"]
    AuctionResult.objects.create(
        auction=auction,
        certificate=said,
        problem_sha256=said["problem_sha256"],
        method=said["method"],
        note=said["note"],
        payments_micro=totals["payments_micro"],
        receipts_micro=totals["receipts_micro"],
        transport_micro=totals["transport_micro"],
        rent_micro=totals["rent_micro"],
        objective_micro=said["objective_micro"],
        bound_micro=said["bound_micro"],
        checked_at=checked_at,
    )


def _move(
    auction: Auction, event: str, now: datetime, *, reason: str = "", actor: Actor | None = None
) -> None:
    """One step by the table, recorded and told; the auction is locked."""
    before = auction.state
    auction.state = next_state(AUCTION_TRANSITIONS, before, event, what="an auction")
    auction.state_reason = reason[:500]
    if auction.state in (AuctionState.PUBLISHED, AuctionState.CANCELLED, AuctionState.FAILED):
        auction.ended_at = now
    auction.save()
    _record(actor or system(f"auction.{event}"), auction, before, now)
    told = OutboxEvent(
        kind=f"auction.{auction.state}",
        organisation_id=None,
        subject_id=auction.id,
        payload={"delivery_date": str(auction.delivery_date), "reason": auction.state_reason},
        occurred_at=now,
    )
    outbox.emit_many([told])


def _record(actor: Actor, auction: Auction, before: str | None, now: datetime) -> None:
    audit.record(
        actor=actor,
        action=actor.label if actor.is_system else f"auction.{auction.state}",
        subject_kind="auction",
        subject_id=auction.id,
        before=None if before is None else {"state": before},
        after={"state": auction.state, "reason": auction.state_reason},
        now=now,
    )
