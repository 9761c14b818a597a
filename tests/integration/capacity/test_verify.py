"""``manage.py verify`` for access: clean on good data, and not on bad."""

from __future__ import annotations

import pytest

from exchange.capacity import services, verify
from exchange.market import verify as market_verify
from exchange.topology import verify as topology_verify
from exchange.topology.models import Link
from tests.integration.capacity.builders import (
    NOW,
    SLOT,
    centre,
    load_reference,
    pool,
    provider,
    sell,
)


def failed(checks) -> list[str]:
    return [finding.check for finding in checks if not finding.ok]


@pytest.mark.usefixtures("reference")
def test_all_holds_after_sales():
    actor = provider()
    made = pool(actor, centre(actor))
    sell(made, 10, start_slot=SLOT + 1, slots=30)
    sell(made, 20, start_slot=SLOT + 20, slots=3)
    assert failed(verify.checks()) == []
    assert failed(topology_verify.checks()) == []


@pytest.mark.usefixtures("reference")
def test_a_typed_in_round_trip_and_a_city_cut_off_are_found():
    Link.objects.filter(region_b_id="zhengzhou", region_a_id="luoyang").update(rtt_us=1)
    Link.objects.filter(region_b_id="hami").update(is_open=False)
    Link.objects.filter(region_a_id="hami").update(is_open=False)
    assert failed(topology_verify.checks()) == [
        "topology.round_trips_follow_distance",
        "topology.cities_are_connected",
    ]


@pytest.mark.usefixtures("reference")
def test_lower_units_are_no_fault_once_what_was_sold_is_over():
    actor = provider()
    made = pool(actor, centre(actor))
    sell(made, 10, start_slot=SLOT - 4, slots=4)
    services.change_pool(actor=actor, pool_id=made.id, units=9, now=NOW)
    assert failed(verify.checks()) == []
    assert [name for name in failed(market_verify.checks()) if "oversold" in name] == []


def test_units_lowered_in_spite_of_the_guard_are_found(fresh_database, owner_connection):
    load_reference()
    actor = provider()
    made = pool(actor, centre(actor))
    sell(made, 10, start_slot=SLOT + 1, slots=3)
    owner_connection.execute("ALTER TABLE exchange_pool DISABLE TRIGGER USER")
    owner_connection.execute("UPDATE exchange_pool SET units = 9, available_units = 9")
    owner_connection.commit()
    (finding,) = [finding for finding in verify.checks() if not finding.ok]
    assert finding.check == "capacity.never_oversold"
    assert finding.detail == "3 hours of pools above their units"
    assert "market.no_pool_oversold" in failed(market_verify.checks())
