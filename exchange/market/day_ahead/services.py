"""The verbs of those who take part in an auction, and of the operator who holds it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from accounts import audit
from accounts.actors import Actor
from core.errors import InsufficientFunds, InvalidInput
from core.money import to_decimal
from core.states import next_state
from exchange.market.broken import Rules
from exchange.market.day_ahead import intake, locks, times
from exchange.market.day_ahead.errors import AuctionRefused, EntryRefused, GateNotOpen
from exchange.market.day_ahead.models import (
    Auction,
    AuctionEntry,
    AuctionLine,
    AuctionLink,
    AuctionSchedule,
    AuctionState,
    EntrySide,
    EntryState,
)
from exchange.market.day_ahead.requests import (
    AuctionOfferRequest,
    AuctionOrderRequest,
    LinkRequest,
    ScheduleRequest,
    TimesRequest,
)
from exchange.market.day_ahead.states import ENTRY_TRANSITIONS
from exchange.pricing import chart
from exchange.topology.models import Link
from ledger import services as ledger

HOLD_CODE = "auction.hold"
_SIDES = {"buy": ("orders:write", "buyer"), "sell": ("offers:write", "provider")}

Made = tuple[AuctionEntry, list[AuctionLine]]


def place_order(
    *, actor: Actor, auction_id: UUID, request: AuctionOrderRequest, now: datetime
) -> AuctionEntry:
    """Enter an order and hold the most that it can come to, in one transaction.

    ``EntryRefused`` names every broken rule, ``GateNotOpen``, ``InsufficientFunds``.
    """
    owner = _may(actor, EntrySide.BUY)
    auction = _open_auction(auction_id, now)
    made = intake.order_of(request, auction=auction, buyer_id=owner)
    entry = _store(actor, made, now)
    _swap_holds(actor, entry, None, now)
    return entry


def make_offer(
    *, actor: Actor, auction_id: UUID, request: AuctionOfferRequest, now: datetime
) -> AuctionEntry:
    """Enter an offer of a pool of one's own: it is reserved when the gate closes.

    ``EntryRefused`` names every broken rule, ``GateNotOpen``.
    """
    owner = _may(actor, EntrySide.SELL)
    auction = _open_auction(auction_id, now)
    return _store(actor, intake.offer_of(request, auction=auction, provider_id=owner), now)


def replace_order(
    *, actor: Actor, entry_id: UUID, request: AuctionOrderRequest, now: datetime
) -> AuctionEntry:
    """Take an order out and enter another in its place; its hold is swapped in one group."""
    _may(actor, EntrySide.BUY)
    return _replace(
        actor,
        entry_id,
        EntrySide.BUY,
        lambda auction, owner: intake.order_of(request, auction=auction, buyer_id=owner),
        now,
    )


def replace_offer(
    *, actor: Actor, entry_id: UUID, request: AuctionOfferRequest, now: datetime
) -> AuctionEntry:
    """Take an offer out and enter another in its place."""
    _may(actor, EntrySide.SELL)
    return _replace(
        actor,
        entry_id,
        EntrySide.SELL,
        lambda auction, owner: intake.offer_of(request, auction=auction, provider_id=owner),
        now,
    )


def cancel_entry(*, actor: Actor, entry_id: UUID, side: str, now: datetime) -> AuctionEntry:
    """Take an order or offer out while the gate is open; again changes nothing."""
    _may(actor, side)
    entry = _own_in_open_auction(actor, entry_id, side, now)
    if entry.state == EntryState.CANCELLED:
        return entry
    _close(actor, entry, now)
    if side == EntrySide.BUY:
        _post((ledger.ReleaseHold(hold=entry.id),), now)
    return entry


def set_schedule(*, actor: Actor, request: ScheduleRequest, now: datetime) -> AuctionSchedule:
    """A new version of the timetable; it counts for delivery days from its first on."""
    actor.require_scope("operator")
    actor.require_operator("market")
    rules = Rules([])
    rules.require(
        request.opens_at < request.closes_at < request.clear_by_at < request.publish_by_at,
        "closes_at",
        "opening, closing, clearing and publishing follow one another within a day",
        "put the times in this order",
    )
    rules.require(
        0 < request.lowest_price_micro <= request.highest_price_micro <= 10**12,
        "lowest_price",
        "prices are above zero and in order",
        "give the lowest and the highest price per unit-hour",
    )
    rules.require(1 <= request.announced_days <= 14, "announced_days", "1 to 14", "give days")
    rules.require(1 <= request.solver_seconds <= 600, "solver_seconds", "1 to 600", "give seconds")
    if rules.problems:
        raise AuctionRefused("The timetable breaks rules.", fields=rules.problems)
    schedule = AuctionSchedule.objects.create(
        valid_from_date=request.valid_from_date,
        is_running=request.is_running,
        announced_days=request.announced_days,
        opens_at=request.opens_at,
        closes_at=request.closes_at,
        clear_by_at=request.clear_by_at,
        publish_by_at=request.publish_by_at,
        solver_seconds=request.solver_seconds,
        lowest_price=to_decimal(request.lowest_price_micro),
        highest_price=to_decimal(request.highest_price_micro),
        created_at=now,
    )
    _record(actor, "auction.schedule", schedule.pk, {"from": str(request.valid_from_date)}, now)
    return schedule


def announce_auction(*, actor: Actor, request: TimesRequest, reason: str, now: datetime) -> Auction:
    """Announce the auction of a delivery day by hand, at the timetable's times or at others."""
    actor.require_scope("operator")
    actor.require_operator("market")
    require_reason(reason)
    schedule = times.schedule_for(request.delivery_date)
    if schedule is None:
        raise AuctionRefused(
            "No timetable holds for that day: it says the limits of prices and the solver's time.",
        )
    auction = times.auction_of(request, schedule=schedule, now=now)
    rules = Rules([])
    rules.require(
        now < auction.closes_at,
        "closes_at",
        "the gate closes in the future",
        "announce a later day, or give a later closing",
    )
    rules.require(
        auction.opens_at < auction.closes_at < auction.clear_by_at < auction.publish_by_at
        and auction.publish_by_at <= times.starts_at(auction),
        "publish_by_at",
        "opening, closing, clearing, publishing and delivery follow one another",
        "put the times in this order",
    )
    if rules.problems:
        raise AuctionRefused("The auction breaks rules.", fields=rules.problems)
    if not times.store(auction):
        raise AuctionRefused(f"There is an auction for {request.delivery_date} already.")
    _record(actor, "auction.announce", auction.id, {"reason": reason}, now)
    return auction


def set_link(*, actor: Actor, request: LinkRequest, now: datetime) -> AuctionLink:
    """Say what a link carries in auctions from the next closing of a gate on."""
    actor.require_scope("operator")
    actor.require_operator("market")
    rules = Rules([])
    rules.require(
        Link.objects.filter(id=request.link_id).exists(),
        "link_id",
        "unknown link",
        "GET /api/v1/links lists them",
    )
    for name in ("forward_units", "backward_units"):
        units = getattr(request, name)
        rules.require(
            len(units) == 24 and all(0 <= u <= 10**9 for u in units),
            name,
            "24 numbers of units, not below zero",
            "one for each hour of the delivery day",
        )
    rules.require(
        0 <= request.price_micro <= 10**12,
        "price_per_unit_hour",
        "not below zero",
        "give yuan for a unit carried for an hour",
    )
    if rules.problems:
        raise AuctionRefused("The link breaks rules of the auction.", fields=rules.problems)
    link, _made = AuctionLink.objects.update_or_create(
        link_id=request.link_id,
        defaults={
            "price_per_unit_hour": to_decimal(request.price_micro),
            "forward_units": list(request.forward_units),
            "backward_units": list(request.backward_units),
            "updated_at": now,
        },
    )
    after = {
        "price": str(to_decimal(request.price_micro)),
        "forward": list(request.forward_units),
        "backward": list(request.backward_units),
    }
    _record(actor, "auction.link", request.link_id, after, now)
    return link


def _may(actor: Actor, side: str) -> UUID:
    scope, kind = _SIDES[side]
    actor.require_scope(scope)
    actor.require_kind(kind)
    if actor.organisation_id is None:
        raise InvalidInput("This needs an organisation to act for.")
    return actor.organisation_id


def _open_auction(auction_id: UUID, now: datetime) -> Auction:
    """The auction, shared until the transaction ends; ``GateNotOpen`` where it takes nothing."""
    auction = locks.auction_shared(auction_id)
    if auction.state != AuctionState.OPEN or not auction.opens_at <= now < auction.closes_at:
        raise GateNotOpen(
            f"The auction is {auction.state}; its gate is open from "
            f"{auction.opens_at.isoformat()} to {auction.closes_at.isoformat()}.",
            state=auction.state,
            opens_at=auction.opens_at.isoformat(),
            closes_at=auction.closes_at.isoformat(),
        )
    return auction


def _own_in_open_auction(actor: Actor, entry_id: UUID, side: str, now: datetime) -> AuctionEntry:
    _open_auction(locks.auction_of_own_entry(actor, entry_id, side), now)
    return locks.own_entry_for_update(actor, entry_id, side)


def _store(
    actor: Actor, made: Made, now: datetime, replaces: AuctionEntry | None = None
) -> AuctionEntry:
    entry, lines = made
    entry.entered_at = now
    entry.replaces = replaces
    try:
        with transaction.atomic():
            entry.save(force_insert=True)
    except IntegrityError as error:
        if "one_side_of_a_grade_in_an_auction" not in str(error):
            raise
        raise EntryRefused(
            "An organisation stands on one side of a grade in an auction: what it buys could else "
            "be what it sells. Cancel what stands on the other side first."
        ) from error
    AuctionLine.objects.bulk_create(lines)
    after: dict[str, Any] = {
        "auction": str(entry.auction_id),
        "lines": [[line.kind, str(line.price), sum(line.units)] for line in lines],
        "held": str(to_decimal(entry.held_micro)),
    }
    verb = "replace" if replaces is not None else "place"
    _record(actor, f"auction_{_noun(entry.side)}.{verb}", entry.id, after, now)
    return entry


def _replace(
    actor: Actor,
    entry_id: UUID,
    side: str,
    make: Callable[[Auction, UUID], Made],
    now: datetime,
) -> AuctionEntry:
    before = _own_in_open_auction(actor, entry_id, side, now)
    if before.state != EntryState.ENTERED:
        raise GateNotOpen(f"The {_noun(side)} is {before.state}.", state=before.state)
    made = make(before.auction, before.organisation_id)
    _close(actor, before, now)
    entry = _store(actor, made, now, replaces=before)
    if side == EntrySide.BUY:
        _swap_holds(actor, entry, before, now)
    return entry


def _close(actor: Actor, entry: AuctionEntry, now: datetime) -> None:
    entry.state = next_state(ENTRY_TRANSITIONS, entry.state, "cancel", what=_noun(entry.side))
    entry.closed_at = now
    entry.save(update_fields=["state", "closed_at"])
    _record(actor, f"auction_{_noun(entry.side)}.cancel", entry.id, None, now)


def _swap_holds(
    actor: Actor, entry: AuctionEntry, before: AuctionEntry | None, now: datetime
) -> None:
    """Last in the transaction, since it locks the buyer's account until its end."""
    hold = ledger.CreateHold(
        id=entry.id,
        account=chart.account(entry.organisation_id, chart.AVAILABLE, actor.region_code or ""),
        amount=entry.held_micro,
        code=HOLD_CODE,
        reference=entry.id,
        expires_at=None,  # the auction gives it back: published, cancelled or failed
    )
    release = () if before is None else (ledger.ReleaseHold(hold=before.id),)
    _post((*release, hold), now)


def _post(group: ledger.Group, now: datetime) -> None:
    (result,) = ledger.post([group], now=now)
    if result.ok:
        return
    if result.code not in ("insufficient_funds", "unknown_account"):
        raise RuntimeError(f"the ledger refused a hold of an auction: {result}")
    raise InsufficientFunds(
        "The order could come to more than the available balance. Top up, or lower prices or units."
    )


def require_reason(reason: str) -> None:
    """``InvalidInput`` where the operator does not say why."""
    if not reason.strip() or len(reason) > 500:
        raise InvalidInput.of("reason", "1 to 500 characters", "Say why.")


def _noun(side: str) -> str:
    return "order" if side == EntrySide.BUY else "offer"


def _record(
    actor: Actor, action: str, subject: object, after: dict[str, Any] | None, now: datetime
) -> None:
    audit.record(
        actor=actor,
        action=action,
        subject_kind=action.split(".", maxsplit=1)[0],
        subject_id=str(subject),
        after=after,
        now=now,
    )
