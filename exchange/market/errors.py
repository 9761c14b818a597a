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


class OfferNotChangeable(Conflict):
    slug = "offer-not-changeable"
    title = "The offer's state does not allow this"
