"""Every row lock of the market. Order: the book, then orders or offers by id, then what the
ledger locks."""

from __future__ import annotations

from collections.abc import Collection
from uuid import UUID

from accounts.actors import Actor
from core.errors import NotFound
from exchange.capacity.models import Book
from exchange.market.models import Offer, Order, OrderAmendment, Trade


def book_for_update(book_id: int) -> Book:
    """The book, locked against admissions and writers until the transaction ends."""
    return Book.objects.select_for_update().get(id=book_id)


def order_for_update(actor: Actor, order_id: UUID) -> Order:
    """The caller's own order, locked; ``NotFound`` where it is not theirs."""
    order = (
        Order.objects.select_for_update()
        .filter(id=order_id, buyer_id=actor.organisation_id)
        .first()
    )
    if order is None:
        raise NotFound("There is no such order.")
    return order


def amendments_under_way(order_ids: Collection[UUID]) -> dict[UUID, OrderAmendment]:
    """Amendments that wait for their batch, by their orders, which the caller has locked."""
    waiting = OrderAmendment.objects.filter(order_id__in=order_ids, state="requested")
    return {amendment.order_id: amendment for amendment in waiting}


def trade_for_resale(actor: Actor, trade_id: UUID) -> Trade:
    """A trade that the caller bought, with its release. Not locked: a trade never changes, and
    the database bounds what is resold of it."""
    trade = (
        Trade.objects.select_related("release", "pool")
        .filter(id=trade_id, buyer_id=actor.organisation_id)
        .first()
    )
    if trade is None:
        raise NotFound("There is no such trade.")
    return trade


def offer_for_update(actor: Actor, offer_id: UUID) -> Offer:
    """The caller's own offer, locked; ``NotFound`` where it is not theirs."""
    offer = (
        Offer.objects.select_for_update(of=("self",))
        .select_related("pool__grade__book", "pool__centre", "resale_of__release")
        .filter(id=offer_id, provider_id=actor.organisation_id)
        .first()
    )
    if offer is None:
        raise NotFound("There is no such offer.")
    return offer
