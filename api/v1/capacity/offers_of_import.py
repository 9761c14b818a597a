"""How the bulk import hands the offers of a file to the market."""

from __future__ import annotations

from datetime import datetime

from accounts.actors import Actor
from exchange.capacity.importing import CreateOffers


def create_offers_for(actor: Actor, now: datetime) -> CreateOffers | None:
    """The market's way to take the offers of a file."""
    return None
