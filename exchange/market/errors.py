"""What the market refuses."""

from __future__ import annotations

from core.errors import Conflict, InvalidInput


class OrderRefused(InvalidInput):
    slug = "order-refused"
    title = "The order breaks a rule of the market"


class OfferRefused(InvalidInput):
    slug = "offer-refused"
    title = "The offer breaks a rule of the market"


class OrderClosed(Conflict):
    slug = "order-closed"
    title = "The order is no longer live"


class OrderVersionStale(Conflict):
    slug = "order-version-stale"
    title = "The order has other terms by now"


class AmendmentUnderWay(Conflict):
    slug = "amendment-under-way"
    title = "An amendment of the order is still under way"
    retry_helps = True


class ResaleRefused(Conflict):
    slug = "resale-refused"
    title = "This trade cannot be resold"


class OfferNotChangeable(Conflict):
    slug = "offer-not-changeable"
    title = "The offer's state does not allow this"
