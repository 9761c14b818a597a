"""The operator's verbs over the market: halt, resume, the rules of a book, limits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from accounts import audit
from accounts.actors import Actor
from accounts.models import Organisation
from core.errors import InvalidInput, NotFound
from core.states import next_state
from exchange.capacity import inbox
from exchange.capacity.models import Book, BookEventKind
from exchange.market.orderly import locks
from exchange.market.orderly.errors import BookNotFound
from exchange.market.orderly.models import Halt, OrderLimit
from exchange.market.orderly.states import HALT_TRANSITIONS
from exchange.topology import selectors as topology

ROLE = "market"
MAX_BAND_BP = 100_000
MAX_OPEN_ORDERS = 1_000_000
MAX_INDEX_UNIT_HOURS = 1_000_000
MAX_REASON_LENGTH = 500


@transaction.atomic
def halt_trading(
    *,
    actor: Actor,
    book_code: str | None = None,
    region_code: str | None = None,
    reason: str,
    now: datetime,
) -> Halt:
    """Halt one book, or one region with all below it in every book; exactly one is named.

    Each book takes it with its next batch. ``TransitionRefused`` where it is halted already.
    """
    actor.require_operator(ROLE)
    if (book_code is None) == (region_code is None):
        raise InvalidInput.of("book", "a halt is of a book or of a region", "Name one of them.")
    reason = _reason(reason)
    book = None if book_code is None else _book(book_code)
    regions = None if region_code is None else _with_children(region_code)
    live = Halt.objects.filter(book=book, region=region_code, resumed_at=None)
    next_state(HALT_TRANSITIONS, _state(live.exists()), "halt", what="trading")
    halt = Halt(
        book=book, region_id=region_code, reason=reason, halted_by=actor.label, halted_at=now
    )
    try:
        with transaction.atomic():
            halt.save(force_insert=True)
    except IntegrityError:  # another halted it since
        next_state(HALT_TRANSITIONS, "halted", "halt", what="trading")
    _tell_books(halt, BookEventKind.TRADING_HALTED, regions, now)
    _record(actor, "market.halt", halt, before="open", reason=reason, now=now)
    return halt


@transaction.atomic
def resume_trading(*, actor: Actor, halt_id: UUID, reason: str, now: datetime) -> Halt:
    """Let trading go on: what rests is matched with the next batch of each book.

    ``HaltNotFound``; ``TransitionRefused`` where it was resumed already.
    """
    actor.require_operator(ROLE)
    reason = _reason(reason)
    halt = locks.halt_for_update(halt_id)
    next_state(HALT_TRANSITIONS, halt.state, "resume", what="trading")
    halt.resumed_at, halt.resumed_by, halt.resume_reason = now, actor.label, reason
    halt.save(update_fields=["resumed_at", "resumed_by", "resume_reason"])
    regions = None if halt.region_id is None else _with_children(halt.region_id)
    _tell_books(halt, BookEventKind.TRADING_RESUMED, regions, now)
    _record(actor, "market.resume", halt, before="halted", reason=reason, now=now)
    return halt


@transaction.atomic
def set_book_rules(
    *,
    actor: Actor,
    book_code: str,
    band_bp: int | None,
    index_min_unit_hours: int,
    now: datetime,
) -> Book:
    """Set a book's price band (basis points both ways, None for none) and the index's volume.

    They hold for what is placed, and for hours that are published, from now on.
    """
    actor.require_operator(ROLE)
    if band_bp is not None and not 1 <= band_bp <= MAX_BAND_BP:
        raise InvalidInput.of(
            "band_bp", f"1 to {MAX_BAND_BP}", "Give basis points (2000 is 20 %), or null for none."
        )
    if not 1 <= index_min_unit_hours <= MAX_INDEX_UNIT_HOURS:
        raise InvalidInput.of(
            "index_min_unit_hours", f"1 to {MAX_INDEX_UNIT_HOURS}", "Give whole unit-hours."
        )
    _book(book_code)
    book = locks.book_rules_for_update(book_code)
    before = _rules(book)
    book.band_bp, book.index_min_unit_hours = band_bp, index_min_unit_hours
    book.save(update_fields=["band_bp", "index_min_unit_hours"])
    audit.record(
        actor=actor,
        action="market.rules",
        subject_kind="book",
        subject_id=book.code,
        before=before,
        after=_rules(book),
        now=now,
    )
    return book


@transaction.atomic
def limit_open_orders(
    *, actor: Actor, organisation_id: UUID, open_orders: int | None, now: datetime
) -> int | None:
    """Give an organisation a limit of its own; None takes it back: the general one holds."""
    actor.require_operator(ROLE)
    if open_orders is not None and not 0 <= open_orders <= MAX_OPEN_ORDERS:
        raise InvalidInput.of("open_orders", f"0 to {MAX_OPEN_ORDERS}", "Give a number, or null.")
    if not Organisation.objects.filter(id=organisation_id).exists():
        raise NotFound("There is no such organisation.")
    known = OrderLimit.objects.select_for_update().filter(organisation=organisation_id)
    before = known.values_list("open_orders", flat=True).first()
    if open_orders is None:
        known.delete()
    else:
        OrderLimit.objects.update_or_create(
            organisation_id=organisation_id,
            defaults={"open_orders": open_orders, "changed_at": now},
        )
    audit.record(
        actor=actor,
        action="market.limit",
        subject_kind="organisation",
        subject_id=organisation_id,
        before={"open_orders": before},
        after={"open_orders": open_orders},
        now=now,
    )
    return open_orders


def _tell_books(
    halt: Halt, kind: BookEventKind, regions: Sequence[str] | None, now: datetime
) -> None:
    """Put it into the inbox of the book, or of every book in the order of their ids."""
    books = Book.objects.order_by("id").values_list("id", flat=True)
    event = inbox.InboxEvent(kind, halt.id, {"regions": regions})
    for book_id in [halt.book_id] if halt.book_id is not None else books:
        inbox.append(book_id=book_id, events=[event], now=now)


def _record(
    actor: Actor, action: str, halt: Halt, *, before: str, reason: str, now: datetime
) -> None:
    scope = {"book": halt.book.code} if halt.book else {"region": halt.region_id}
    audit.record(
        actor=actor,
        action=action,
        subject_kind="halt",
        subject_id=halt.id,
        before={"state": before} | scope,
        after={"state": halt.state, "reason": reason} | scope,
        now=now,
    )


def _state(is_halted: bool) -> str:
    return "halted" if is_halted else "open"


def _reason(text: str) -> str:
    text = text.strip()
    if not 0 < len(text) <= MAX_REASON_LENGTH:
        raise InvalidInput.of(
            "reason", f"1 to {MAX_REASON_LENGTH} characters", "Say why; members read it."
        )
    return text


def _book(code: str) -> Book:
    book = Book.objects.filter(code=code).first()
    if book is None:
        raise BookNotFound("GET /api/v1/market/books lists the books.")
    return book


def _with_children(region_code: str) -> list[str]:
    regions = topology.region_tree().below(region_code)
    if not regions:
        raise InvalidInput.of("region", "unknown region", "GET /api/v1/regions lists them.")
    return sorted(regions)


def _rules(book: Book) -> dict[str, Any]:
    return {"band_bp": book.band_bp, "index_min_unit_hours": book.index_min_unit_hours}
