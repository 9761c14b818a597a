"""A preview says by name what could keep an order from ever being filled."""

from __future__ import annotations

from decimal import Decimal

import pytest

from core.slots import slot_start_at
from exchange.market import preview
from tests.integration.market import builders as make

pytestmark = pytest.mark.usefixtures("reference")
YUAN = 1_000_000


def warned(buyer=None, **facts) -> list[str]:
    quoted = preview.preview_order(
        actor=buyer or make.funded_buyer(), request=make.order_request(**facts), now=make.NOW
    )
    assert all(warning.says for warning in quoted.warnings)
    return [warning.rule for warning in quoted.warnings]


def test_without_a_pool_the_order_would_wait():
    assert warned() == ["no_pool"]


CASES = [
    ({}, []),
    ({"units": 20}, ["filled_in_part"]),
    ({"limit": "9"}, ["price", "nothing_fits_now"]),
    ({"max_cost_micro": 39 * YUAN}, ["ceiling", "nothing_fits_now"]),
    ({"max_cost_micro": 40 * YUAN}, ["filled_in_part"]),
    ({"max_pue": Decimal("1.1")}, ["pue", "nothing_fits_now"]),
    ({"min_green_share": Decimal("0.9")}, ["green", "nothing_fits_now"]),
    ({"regions_allowed": ("luoyang",)}, ["region", "nothing_fits_now"]),
    ({"units": 99, "min_units": 99}, ["units", "filled_in_part"]),
    ({"units": 1}, ["chunk", "nothing_fits_now"]),
    ({"duration_hours": 9}, ["duration", "nothing_fits_now"]),
    ({"time_in_force": "fok", "min_units": 2}, ["fill_or_kill"]),
]


@pytest.mark.parametrize(("facts", "rules"), CASES)
def test_what_every_pool_or_offer_turns_away_is_named(facts, rules):
    provider = make.seller()
    pool = make.capacity.pool(provider, make.capacity.centre(provider), units=16)
    make.offer(provider, pool, price="10", min_chunk_units=2, max_duration_hours=8)
    make.match()
    latest = {"latest_end_at": slot_start_at(make.SLOT + 1 + facts.get("duration_hours", 2))}
    assert warned(**(latest | facts)) == rules


def test_reclaimable_alone_and_ones_own_offers_are_named():
    provider = make.seller()
    pool = make.capacity.pool(provider, make.capacity.centre(provider), units=16)
    make.offer(provider, pool, is_reclaimable=True, reclaim_notice_seconds=60)
    make.match()
    assert warned() == ["reclaimable", "nothing_fits_now"]
    assert "self_trade" in warned(provider, accepts_reclaimable=True)
