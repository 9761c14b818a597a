"""``manage.py verify`` for access: clean on good data, and not on bad."""

from __future__ import annotations

import pytest

from exchange.capacity import verify
from exchange.topology import verify as topology_verify
from exchange.topology.models import Link
from tests.integration.capacity.builders import NOW, SLOT, centre, pool, provider, sell

pytestmark = pytest.mark.usefixtures("reference")


def failed(checks) -> list[str]:
    return [finding.check for finding in checks if not finding.ok]


def test_all_holds_after_sales():
    actor = provider()
    made = pool(actor, centre(actor))
    sell(made, 10, start_slot=SLOT + 1, slots=30)
    sell(made, 20, start_slot=SLOT + 20, slots=3)
    assert failed(verify.checks()) == []
    assert failed(topology_verify.checks()) == []


def test_a_typed_in_round_trip_and_a_city_cut_off_are_found():
    Link.objects.filter(region_b_id="zhengzhou", region_a_id="luoyang").update(rtt_us=1)
    Link.objects.filter(region_b_id="hami").update(is_open=False)
    Link.objects.filter(region_a_id="hami").update(is_open=False)
    assert failed(topology_verify.checks()) == [
        "topology.round_trips_follow_distance",
        "topology.cities_are_connected",
    ]


def test_units_lowered_behind_the_services_back_are_found(monkeypatch):
    actor = provider()
    made = pool(actor, centre(actor))
    sell(made, 10, start_slot=SLOT + 1, slots=3)
    monkeypatch.setattr(verify.clock, "now", lambda: NOW)
    type(made).objects.filter(id=made.id).update(units=9, available_units=9)
    (finding,) = [finding for finding in verify.checks() if not finding.ok]
    assert finding.check == "capacity.never_oversold"
    assert finding.detail == "3 hours of pools above their units"
