"""What each row of the table of leases means, and each pair of state and event that has none."""

from __future__ import annotations

import itertools

import pytest

from core.errors import TransitionRefused
from core.states import next_state
from exchange.scheduling.models import LeaseState
from exchange.scheduling.states import (
    LEASE_ENDED,
    LEASE_RUNNING,
    LEASE_TRANSITIONS,
    LEASE_WAITING,
    MOVES_OF,
)

# Written out by hand, so that a changed row must be changed here too, knowingly.
MEANING = {
    ("scheduled", "provision"): "provisioning",
    ("scheduled", "activate"): "active",
    ("scheduled", "fail"): "failed",
    ("scheduled", "terminate"): "terminated",
    ("scheduled", "reclaim"): "terminated",
    ("scheduled", "suspend"): "suspended",
    ("provisioning", "activate"): "active",
    ("provisioning", "fail"): "failed",
    ("provisioning", "terminate"): "terminated",
    ("provisioning", "reclaim"): "terminated",
    ("provisioning", "suspend"): "suspended",
    ("active", "complete"): "completed",
    ("active", "fail"): "failed",
    ("active", "terminate"): "terminated",
    ("active", "reclaim"): "terminated",
    ("active", "suspend"): "suspended",
    ("suspended", "resume"): "active",
    ("suspended", "reinstate"): "scheduled",
    ("suspended", "fail"): "failed",
    ("suspended", "terminate"): "terminated",
    ("suspended", "reclaim"): "terminated",
    ("suspended", "complete"): "completed",
}


@pytest.mark.parametrize(
    ("state", "event"), list(itertools.product(LeaseState.values, sorted(MOVES_OF)))
)
def test_a_row_means_what_it_says_and_a_missing_row_is_refused(state, event):
    if (state, event) in MEANING:
        after = next_state(LEASE_TRANSITIONS, state, event, what="lease")
        assert after == MEANING[state, event]
    else:
        with pytest.raises(TransitionRefused):
            next_state(LEASE_TRANSITIONS, state, event, what="lease")


def test_nothing_leaves_an_end():
    assert {state for state, _ in LEASE_TRANSITIONS}.isdisjoint(LEASE_ENDED)


def test_every_state_is_running_or_ended_and_waiting_ones_run():
    assert sorted([*LEASE_RUNNING, *LEASE_ENDED]) == sorted(LeaseState.values)
    assert set(LEASE_WAITING) < set(LEASE_RUNNING)


def test_every_event_is_somebodys_move():
    assert {event for _, event in LEASE_TRANSITIONS} == set(MOVES_OF)
    assert set(MOVES_OF.values()) == {"provider", "buyer", "platform"}
