"""Capacity that is taken back while a batch is under way: the batch takes it in, and is written."""

from __future__ import annotations

import pytest

from core.slots import slot_start_at
from exchange.capacity import services as capacity
from exchange.market import admission, matching
from exchange.market.engine import BookState
from exchange.market.models import Trade
from exchange.market.retelling import retell, trades_written
from tests.integration.market import builders as make

pytestmark = pytest.mark.usefixtures("reference")


@pytest.fixture
def admitted():
    """A pool that grew and an order for all of it in one open batch; then the pool shrank."""
    seller = make.seller()
    pool, _ = make.offered_pool(seller, units=8)
    make.match()
    capacity.change_pool(actor=seller, pool_id=pool.id, units=10, now=make.NOW)
    make.place(make.funded_buyer(), units=8, latest_end_at=slot_start_at(make.SLOT + 3))
    batch = admission.admit(make.book().id, now=make.NOW)
    capacity.change_pool(actor=seller, pool_id=pool.id, units=2, now=make.NOW)
    return batch


def test_the_newest_capacity_holds_also_where_an_older_change_is_in_the_batch(admitted):
    make.match()
    assert list(Trade.objects.values_list("units", flat=True)) == [2]
    assert trades_written(make.book()) == retell(make.book(), BookState).trades


def test_what_another_worker_took_in_is_seen_by_the_one_that_lost_the_race(admitted):
    assert admission.admit_capacity_changes(make.book().id) == 1  # and that worker died
    assert matching._match_batch(admitted)
    assert list(Trade.objects.values_list("units", flat=True)) == [2]
