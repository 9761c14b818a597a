"""Offers whose window changes in the very batch that trades with them."""

from __future__ import annotations

import pytest

from core.slots import slot_start_at
from exchange.market import services
from exchange.market.models import Offer, Order, Trade
from tests.integration.market import builders as make

pytestmark = pytest.mark.usefixtures("reference")
EARLY, LATE = slot_start_at(make.SLOT + 2), slot_start_at(make.SLOT + 8)


def an_order():
    return make.place(
        make.funded_buyer(),
        earliest_start_at=slot_start_at(make.SLOT + 4),
        latest_end_at=slot_start_at(make.SLOT + 6),
    )


@pytest.mark.parametrize("widens", [True, False])
def test_each_trade_has_the_window_of_its_moment(widens):
    seller = make.seller()
    pool = make.capacity.pool(seller, make.capacity.centre(seller))
    offer = make.offer(seller, pool, end_at=EARLY if widens else LATE)
    make.match()
    an_order()
    changes = {"end_at": LATE if widens else EARLY}
    services.change_offer(actor=seller, offer_id=offer.id, changes=changes, now=make.NOW)
    second = an_order()
    make.match()
    offer.refresh_from_db()
    assert slot_start_at(offer.end_slot) == changes["end_at"]
    assert Offer.objects.get().state == "open"
    assert Trade.objects.count() == Order.objects.filter(state="filled").count() == 1 + widens
    second.refresh_from_db()
    assert second.state == ("filled" if widens else "open")
