"""Rows as the engines' terms: the state of a book as of its version."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db.models import Case, F, OuterRef, Q, QuerySet, Subquery, When
from django.db.models.functions import Coalesce

from core.money import to_micro
from core.slots import SECONDS_PER_SLOT
from exchange.capacity.models import Book, Pool
from exchange.market.day_ahead import reservations
from exchange.market.models import Offer, OfferState, Order, OrderState, Placement, Trade
from exchange.market.terms import Anchor, Claim, Entry, Network, OfferTerms, OrderTerms, PoolTerms
from exchange.market.terms import Placement as PlacementTerm
from exchange.market.terms import TimeInForce as TimeInForceTerm

if TYPE_CHECKING:
    from exchange.market.engine import BookState


def load_state(book: Book, network: Network, *, now_s: int, with_orders: bool = True) -> BookState:
    """The book as of ``book.version``, whatever has been asked for since.

    ``with_orders=False`` leaves the resting orders out, for a quote that only looks at offers.
    """
    # The compiler is loaded by those who build a book, not by every process that knows of books.
    from exchange.market.engine import BookState  # noqa: PLC0415

    first_slot = now_s // SECONDS_PER_SLOT - 2
    orders = _resting_orders(book) if with_orders else ()
    claims = _claims(book, first_slot)
    # What a withdrawn offer has sold is still claimed of its pool, and may be released.
    sold = {UUID(int=claim.offer) for claim in claims}
    offers = Offer.objects.filter(
        Q(state__in=(OfferState.OPEN, OfferState.PAUSED)) | Q(id__in=sold), book=book
    )
    pools = {pool.id: pool for pool in _pools(book)}
    resold = Trade.objects.in_bulk({o.resale_of_id for o in offers if o.resale_of_id is not None})
    pools |= {
        trade.id.int: resold_terms(pools[trade.pool_id.int], trade) for trade in resold.values()
    }
    return BookState(
        network,
        pools=pools.values(),
        offers=[offer_terms(offer) for offer in offers],
        orders=orders,
        claims=claims,
        now_s=now_s,
    )


def resold_terms(pool: PoolTerms, trade: Trade) -> PoolTerms:
    """What a trade's holder may resell, as a pool of its own with the trade's id: so much at once,
    whichever offers of the holder sell it, and nothing while nothing is sold of ``pool``."""
    return replace(
        pool,
        id=trade.id.int,
        provider=trade.buyer_id.int,
        units=trade.units if pool.units else 0,
    )


def pool_terms(pool: Pool, told: Mapping[str, Any], *, is_halted: bool = False) -> PoolTerms:
    """A pool, its centre loaded, with what its book has been ``told`` of it."""
    return PoolTerms(
        id=pool.id.int,
        provider=pool.centre.provider_id.int,
        centre=pool.centre_id.int,
        region=pool.centre.region_id,
        grade=pool.grade_id,
        units=told["units"],
        green_share_bp=told["green_share_bp"],
        pue_milli=told["pue_milli"],
        reliability_bp=told["reliability_bp"],
        open=not is_halted,
    )


def offer_terms(offer: Offer, *, entry: Entry | None = None) -> OfferTerms:
    """An offer as its row says, or with a new ``entry``."""
    return OfferTerms(
        id=offer.id.int,
        pool=(offer.resale_of_id or offer.pool_id).int,
        provider=offer.provider_id.int,
        entry=entry or _entry_of(offer),
        units=offer.units,
        start_slot=offer.start_slot,
        end_slot=offer.end_slot,
        prices=tuple(to_micro(price) for price in offer.prices),
        min_duration_slots=offer.min_duration_slots,
        max_duration_slots=offer.max_duration_slots,
        min_chunk_units=offer.min_chunk_units,
        reclaimable=offer.is_reclaimable,
        open=offer.state == OfferState.OPEN,
    )


def order_terms(
    order: Order, *, entry: Entry | None = None, anchor: Anchor | None = None
) -> OrderTerms:
    """An order, or what remains of it, as its row says, or with a new ``entry``."""
    data_gb = order.data_in_gb_per_unit + order.data_out_gb_per_unit
    return OrderTerms(
        id=order.id.int,
        buyer=order.buyer_id.int,
        entry=entry or _entry_of(order),
        limits=tuple(
            (grade_id, to_micro(price))
            for grade_id, price in zip(order.grade_ids, order.limit_prices, strict=True)
        ),
        units=order.units,
        remaining_units=order.units - order.filled_units,
        duration_slots=order.duration_slots,
        earliest_slot=order.earliest_slot,
        latest_slot=order.latest_slot,
        min_units=order.min_units,
        on_demand=order.on_demand,
        placement=PlacementTerm(order.placement),
        rtt_region=order.rtt_region_id,
        max_rtt_us=order.max_rtt_us,
        regions_allowed=None if order.regions_allowed is None else frozenset(order.regions_allowed),
        regions_excluded=frozenset(order.regions_excluded),
        min_green_share_bp=int(order.min_green_share * 10_000),
        max_pue_milli=None if order.max_pue is None else int(order.max_pue * 1000),
        min_reliability_bp=int(order.min_reliability * 10_000),
        data_region=order.data_region_id,
        data_milli_gb=int(data_gb * 1000),
        accept_reclaimable=order.accepts_reclaimable,
        max_cost_micro=order.max_cost_micro,
        time_in_force=TimeInForceTerm(order.time_in_force),
        good_till_s=None if order.good_till_at is None else int(order.good_till_at.timestamp()),
        anchor=anchor or _bound(order),
        spent_micro=order.spent_micro,
    )


def _bound(order: Order) -> Anchor | None:
    """Where an order that is bound to a pool stands, though nothing of it is filled."""
    if order.bound_pool_id is None:
        return None
    return Anchor(order.bound_pool_id.int, order.earliest_slot)


def _entry_of(row: Offer | Order) -> Entry:
    if row.entry_batch is None or row.entry_position is None:
        raise ValueError(f"{row.id} has not entered its book")
    return row.entry_batch, row.entry_position


def _pools(book: Book) -> Iterable[PoolTerms]:
    pools = Pool.objects.filter(grade__book=book).exclude(book_terms={}).select_related("centre")
    return [
        pool_terms(pool, pool.book_terms, is_halted=not book.sells_in(pool.centre.region_id))
        for pool in pools
    ]


def _resting_orders(book: Book) -> Iterable[OrderTerms]:
    resting = Order.objects.filter(
        book=book, state__in=(OrderState.OPEN, OrderState.PARTIALLY_FILLED)
    )
    anchors = _anchors(resting)
    return [order_terms(order, anchor=anchors.get(order.id)) for order in resting.iterator()]


def _anchors(resting: QuerySet[Order]) -> dict[UUID, Anchor]:
    """Where the first fill of each partly filled ``same_*`` order stands, and when it starts."""
    first = Trade.objects.filter(order=OuterRef("pk")).order_by("batch", "position")
    rows = (
        resting.filter(state=OrderState.PARTIALLY_FILLED)
        .exclude(placement=Placement.ANYWHERE)
        .annotate(first_trade=Subquery(first.values("id")[:1]))
        .values_list("id", "placement", "first_trade")
    )
    placements = {trade_id: (order_id, placement) for order_id, placement, trade_id in rows}
    anchors = {}
    trades = Trade.objects.filter(id__in=placements).select_related("pool__centre")
    for trade in trades:
        order_id, placement = placements[trade.id]
        place: int | str = (trade.resold_from_id or trade.pool_id).int
        if placement == Placement.SAME_CENTRE:
            place = trade.pool.centre_id.int
        elif placement == Placement.SAME_REGION:
            place = trade.pool.centre.region_id
        anchors[order_id] = Anchor(place, trade.start_slot)
    return anchors


def _claims(book: Book, first_slot: int) -> list[Claim]:
    """What live trades hold (a release counts once its event is in a written batch), and what is
    reserved for auctions."""
    rows = (
        Trade.objects.filter(book=book, batch__lte=book.version, end_slot__gt=first_slot)
        .annotate(
            held_until=Case(
                When(release__event__batch__lte=book.version, then=F("release__from_slot")),
                default=F("end_slot"),
            )
        )
        .filter(held_until__gt=F("start_slot"))
        .annotate(of_pool=Coalesce("resold_from_id", "pool_id"))
        .values_list("offer_id", "of_pool", "units", "start_slot", "held_until")
    )
    return [
        Claim(offer.int, pool.int, units, start, until)
        for offer, pool, units, start, until in rows.iterator()
    ] + reservations.claims(book, first_slot)
