"""The verbs of trading: everything that enters a book begins here.

Nothing here moves the state of an order or an offer: each verb checks, stores and puts an event
into the book's inbox; the writer of a batch does the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from accounts import audit
from accounts.actors import Actor
from core.errors import InsufficientFunds
from core.money import to_decimal, to_micro
from core.slots import slot_start_at
from exchange.capacity import inbox
from exchange.capacity.models import BookEventKind, Pool
from exchange.market import amendments, intake, locks, resale
from exchange.market.broken import Rules
from exchange.market.errors import (
    AmendmentUnderWay,
    OfferNotChangeable,
    OfferRefused,
    OrderClosed,
    OrderVersionStale,
)
from exchange.market.models import Offer, OfferState, Order, OrderAmendment
from exchange.market.orderly import selectors as orderly
from exchange.market.orderly.banding import OfferBands
from exchange.market.orderly.errors import TooManyOpenOrders
from exchange.market.requests import AmendRequest, OfferRequest, OrderRequest, ResaleRequest
from exchange.market.states import ORDER_LIVE
from exchange.pricing import chart
from ledger import services as ledger

HOLD_CODE = "order.hold"


def place_order(
    *, actor: Actor, request: OrderRequest, bound_pool_id: UUID | None = None, now: datetime
) -> Order:
    """Check an order, hold its funds, store it ``pending`` and put it before its book.

    ``bound_pool_id`` binds a ``same_pool`` order of one start to that pool (standing orders do).
    ``OrderRefused`` names every broken rule, ``InsufficientFunds`` what is missing.
    """
    actor.require_scope("orders:write")
    actor.require_kind("buyer")
    buyer_id, region = _organisation(actor), actor.region_code or ""
    order = intake.order_of(request, buyer_id=buyer_id, now=now)
    order.bound_pool_id = bound_pool_id
    order.save(force_insert=True)
    inbox.append(
        book_id=order.book_id,
        events=[inbox.InboxEvent(BookEventKind.ORDER_ENTERED, order.id)],
        now=now,
    )
    audit.record(
        actor=actor,
        action="order.place",
        subject_kind="order",
        subject_id=order.id,
        after={
            "units": order.units,
            "grades": [limit.grade for limit in request.grades],
            "limits": [str(price) for price in order.limit_prices],
            "held": str(to_decimal(order.held_micro)),
            **_passes_band(request),
        },
        now=now,
    )
    # Last, since it locks the buyer's account until the end of the transaction.
    _hold(order, region, now)
    _require_room(buyer_id)
    return order


def cancel_order(*, actor: Actor, order_id: UUID, now: datetime) -> Order:
    """Ask for the rest of an order to be taken out of its book; asking again changes nothing.

    What was filled before the book comes to it stays filled. ``OrderClosed`` where nothing rests.
    """
    actor.require_scope("orders:write")
    order = locks.order_for_update(actor, order_id)
    if order.state not in ORDER_LIVE:
        raise OrderClosed(f"The order is {order.state}.", state=order.state)
    if order.cancel_requested_at is not None:
        return order
    order.cancel_requested_at = now
    order.save(update_fields=["cancel_requested_at"])
    inbox.append(
        book_id=order.book_id,
        events=[inbox.InboxEvent(BookEventKind.ORDER_CANCELLED, order.id)],
        now=now,
    )
    audit.record(
        actor=actor,
        action="order.cancel",
        subject_kind="order",
        subject_id=order.id,
        before={"state": order.state},
        now=now,
    )
    return order


def amend_order(
    *, actor: Actor, order_id: UUID, request: AmendRequest, now: datetime
) -> OrderAmendment:
    """Ask for other terms of an order; the book takes them in turn, or refuses them.

    What the new terms may cost more is held at once, in place of the old hold: without funds
    nothing changes. ``OrderVersionStale`` where the order has other terms than the caller knows,
    ``AmendmentUnderWay`` while another waits, ``OrderClosed``, ``OrderRefused``.
    """
    actor.require_scope("orders:write")
    order = locks.order_for_update(actor, order_id)
    if order.state not in ORDER_LIVE or order.cancel_requested_at is not None:
        said = "being cancelled" if order.state in ORDER_LIVE else order.state
        raise OrderClosed(f"The order is {said}.", state=order.state)
    if request.version != order.version:
        raise OrderVersionStale(
            f"The order has the terms of version {order.version}, not {request.version}.",
            version=order.version,
        )
    if locks.amendments_under_way([order.id]):
        raise AmendmentUnderWay("The book has not decided the last amendment yet.")
    amendment = amendments.amendment_of(order, request, now=now)
    amendments.store(order, amendment)
    inbox.append(
        book_id=order.book_id,
        events=[
            inbox.InboxEvent(
                BookEventKind.ORDER_AMENDED, order.id, {"amendment": str(amendment.id)}
            )
        ],
        now=now,
    )
    audit.record(
        actor=actor,
        action="order.amend",
        subject_kind="order",
        subject_id=order.id,
        before=amendments.facts_of(order),
        after=amendments.facts_of(amendment),
        now=now,
    )
    _replace_hold(order, amendment, actor.region_code or "", now)
    return amendment


def create_offers(*, actor: Actor, requests: Sequence[OfferRequest], now: datetime) -> list[Offer]:
    """Store offers of the caller's own pools, all or none, and put them before their books."""
    actor.require_scope("offers:write")
    actor.require_kind("provider")
    provider_id = _organisation(actor)
    own = Pool.objects.filter(
        id__in={request.pool for request in requests}, centre__provider_id=provider_id
    )
    pools = {pool.id: pool for pool in own.select_related("grade__book", "centre")}
    offers = intake.offers_of(requests, provider_id=provider_id, pools=pools, now=now)
    Offer.objects.bulk_create(offers, batch_size=2000)
    by_book: dict[int, list[inbox.InboxEvent]] = {}
    for offer, request in zip(offers, requests, strict=True):
        terms = _payload(intake.offer_terms(request))
        event = inbox.InboxEvent(BookEventKind.OFFER_ENTERED, offer.id, terms)
        by_book.setdefault(offer.book_id, []).append(event)
    for book_id in sorted(by_book):
        inbox.append(book_id=book_id, events=by_book[book_id], now=now)
    audit.record_many(
        audit.Act(
            actor=actor,
            action="offer.create",
            subject_kind="offer",
            subject_id=offer.id,
            after=_facts(offer) | _passes_band(request),
            now=now,
        )
        for offer, request in zip(offers, requests, strict=True)
    )
    return offers


def offer_resale(*, actor: Actor, trade_id: UUID, request: ResaleRequest, now: datetime) -> Offer:
    """Offer whole slots that are still to come of a trade that the caller bought.

    ``NotFound`` where it is not theirs, ``ResaleRefused`` where the provider's offer did not allow
    it or the trade is over, ``OfferRefused`` names every rule that the terms break.
    """
    actor.require_scope("offers:write")
    actor.require_kind("buyer", "provider")
    trade = locks.trade_for_resale(actor, trade_id)
    offer = resale.offer_of(trade, request, now=now)
    offer.save(force_insert=True)
    _tell_book(offer, BookEventKind.OFFER_ENTERED, {}, now)
    audit.record(
        actor=actor,
        action="offer.resell",
        subject_kind="offer",
        subject_id=offer.id,
        after=_facts(offer) | {"resale_of": str(trade.id)},
        now=now,
    )
    return offer


def change_offer(*, actor: Actor, offer_id: UUID, changes: dict[str, Any], now: datetime) -> Offer:
    """Ask for new terms of an offer; ``changes`` are fields of ``OfferRequest`` but the pool.

    The book takes them in turn: until then the old ones hold. What is sold stays sold. Priority
    is kept only where nothing but the units goes down.
    """
    actor.require_scope("offers:write")
    offer = locks.offer_for_update(actor, offer_id)
    _require_state(offer, OfferState.PENDING, OfferState.OPEN, OfferState.PAUSED)
    wanted = replace(_request_of(offer), **changes)
    rules = Rules([])
    intake.check_offer_terms(wanted, rules, pool_units=offer.pool.units, now=now)
    if "prices_micro" in changes and not wanted.allow_outside_band:
        OfferBands([offer.pool]).check(
            offer.pool, wanted.prices_micro, rules, is_reclaimable=wanted.is_reclaimable
        )
    if offer.resale_of is not None:
        resale.check_within(offer.resale_of, wanted, rules)
    if rules.problems:
        raise OfferRefused("The offer breaks rules of the market.", fields=rules.problems)
    payload = _payload(intake.offer_terms(wanted))
    _tell_book(offer, BookEventKind.OFFER_CHANGED, payload, now)
    _record(actor, "offer.change", offer, payload | _passes_band(wanted), now)
    return offer


def pause_offer(*, actor: Actor, offer_id: UUID, now: datetime) -> Offer:
    """Ask for an offer to be taken out of the market for a while."""
    return _move_offer(actor, offer_id, BookEventKind.OFFER_PAUSED, "offer.pause", now)


def resume_offer(*, actor: Actor, offer_id: UUID, now: datetime) -> Offer:
    """Ask for a paused offer to be put back, with a new place in the queue."""
    return _move_offer(actor, offer_id, BookEventKind.OFFER_RESUMED, "offer.resume", now)


def withdraw_offer(*, actor: Actor, offer_id: UUID, now: datetime) -> Offer:
    """Ask for an offer to be taken out for good; what is sold stays sold."""
    return _move_offer(actor, offer_id, BookEventKind.OFFER_WITHDRAWN, "offer.withdraw", now)


def request_expiries(*, now: datetime, limit: int = 5000) -> int:
    """Put orders whose time is over before their books, the oldest first; returns how many.

    The deadline is the order's own row, so that a restart forgets none.
    """
    due = list(
        Order.objects.select_for_update(skip_locked=True)
        .filter(state__in=ORDER_LIVE, expiry_requested=False, expires_at__lt=now)
        .order_by("expires_at", "id")
        .values_list("id", "book_id")[:limit]
    )
    by_book: dict[int, list[inbox.InboxEvent]] = {}
    for order_id, book_id in due:
        event = inbox.InboxEvent(BookEventKind.ORDER_EXPIRED, order_id)
        by_book.setdefault(book_id, []).append(event)
    for book_id in sorted(by_book):
        inbox.append(book_id=book_id, events=by_book[book_id], now=now)
    Order.objects.filter(id__in=[order_id for order_id, _ in due]).update(expiry_requested=True)
    return len(due)


def _hold(order: Order, region: str, now: datetime) -> None:
    account = chart.account(order.buyer_id, chart.AVAILABLE, region)
    hold = ledger.CreateHold(
        id=order.id,
        account=account,
        amount=order.held_micro,
        code=HOLD_CODE,
        reference=order.id,
        expires_at=None,  # the order's own expiry frees it, in the batch that takes it out
    )
    (result,) = ledger.post([(hold,)], now=now)
    if result.code not in ("ok", "insufficient_funds", "unknown_account"):
        raise RuntimeError(f"the ledger refused the hold of order {order.id}: {result}")
    if not result.ok:
        raise InsufficientFunds(
            f"The order could cost {to_decimal(order.held_micro)} CNY, and the available balance "
            "does not cover it. Top up, lower the limit or the units, or set max_cost.",
            needed=str(to_decimal(order.held_micro)),
        )


def _replace_hold(order: Order, amendment: OrderAmendment, region: str, now: datetime) -> None:
    """Hold what the amendment may need, in place of what is held, where that is more."""
    held = intake.order_hold(
        order, remaining_units=order.units - order.filled_units, spent_micro=order.spent_micro
    )
    needed = amendments.hold_under_way(
        order, amendment, filled=order.filled_units, spent=order.spent_micro
    )
    if needed <= held:
        return
    larger = ledger.CreateHold(
        id=amendment.id,
        account=chart.account(order.buyer_id, chart.AVAILABLE, region),
        amount=needed,
        code=HOLD_CODE,
        reference=order.id,
        expires_at=None,
    )
    group = (ledger.ReleaseHold(hold=order.hold_id or order.id), larger)
    (result,) = ledger.post([group], now=now)
    if result.code == "insufficient_funds":
        raise InsufficientFunds(
            f"The amended order could cost {to_decimal(needed - held)} CNY more, and the available "
            "balance does not cover it. Nothing is changed.",
            needed=str(to_decimal(needed - held)),
        )
    if not result.ok:
        raise RuntimeError(f"the ledger refused to replace the hold of {order.id}: {result}")
    order.hold_id = amendment.id
    order.save(update_fields=["hold_id"])


def _require_room(buyer_id: UUID) -> None:
    """Refuse an order above the organisation's limit, this one counted.

    The hold came first: it has the buyer's account locked, so that no two orders of one buyer
    count at the same time.
    """
    count, most = orderly.open_orders(buyer_id)
    if most is not None and count > most:
        raise TooManyOpenOrders(
            f"The organisation may have {most} live orders. Cancel some, or wait until they are "
            "filled; the operator can raise the limit.",
            limit=most,
        )


def _passes_band(request: OrderRequest | OfferRequest) -> dict[str, Any]:
    return {"allow_outside_band": True} if request.allow_outside_band else {}


def _move_offer(
    actor: Actor, offer_id: UUID, kind: BookEventKind, action: str, now: datetime
) -> Offer:
    actor.require_scope("offers:write")
    offer = locks.offer_for_update(actor, offer_id)
    allowed = {
        BookEventKind.OFFER_PAUSED: (OfferState.PENDING, OfferState.OPEN),
        BookEventKind.OFFER_RESUMED: (OfferState.PAUSED,),
        BookEventKind.OFFER_WITHDRAWN: (OfferState.PENDING, OfferState.OPEN, OfferState.PAUSED),
    }[kind]
    _require_state(offer, *allowed)
    _tell_book(offer, kind, {}, now)
    _record(actor, action, offer, None, now)
    return offer


def _require_state(offer: Offer, *allowed: OfferState) -> None:
    if offer.state not in allowed:
        raise OfferNotChangeable(
            f"The offer is {offer.state}; this needs it to be {' or '.join(allowed)}.",
            state=offer.state,
        )


def _payload(terms: dict[str, Any]) -> dict[str, Any]:
    return terms | {"prices": [str(price) for price in terms["prices"]]}


def _tell_book(offer: Offer, kind: BookEventKind, payload: dict[str, Any], now: datetime) -> None:
    event = inbox.InboxEvent(kind, offer.id, payload)
    inbox.append(book_id=offer.book_id, events=[event], now=now)


def _record(
    actor: Actor, action: str, offer: Offer, after: dict[str, Any] | None, now: datetime
) -> None:
    audit.record(
        actor=actor,
        action=action,
        subject_kind="offer",
        subject_id=offer.id,
        before=_facts(offer),
        after=after,
        now=now,
    )


def _request_of(offer: Offer) -> OfferRequest:
    return OfferRequest(
        pool=offer.pool_id,
        units=offer.units,
        start_at=slot_start_at(offer.start_slot),
        end_at=slot_start_at(offer.end_slot),
        prices_micro=tuple(to_micro(price) for price in offer.prices),
        max_duration_hours=offer.max_duration_slots,
        min_duration_hours=offer.min_duration_slots,
        min_chunk_units=offer.min_chunk_units,
        is_reclaimable=offer.is_reclaimable,
        reclaim_notice_seconds=offer.reclaim_notice_seconds,
        reclaim_compensation_bp=offer.reclaim_compensation_bp,
        reclaim_least_micro=offer.reclaim_least_micro,
        allows_resale=offer.allows_resale,
    )


def _facts(offer: Offer) -> dict[str, Any]:
    facts = asdict(_request_of(offer))
    facts["prices_micro"] = list(facts["prices_micro"])
    del facts["allow_outside_band"]  # said of an act, not of an offer
    return facts | {
        "state": offer.state,
        "pool": str(offer.pool_id),
        "start_at": facts["start_at"].isoformat(),
        "end_at": facts["end_at"].isoformat(),
    }


def _organisation(actor: Actor) -> UUID:
    if actor.organisation_id is None:
        raise ValueError("an actor without an organisation cannot trade")
    return actor.organisation_id
