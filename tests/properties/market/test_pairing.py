"""Pairing takes just what was cleared, whatever flows there are, and keeps slots together."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exchange.market.day_ahead.pairing import CannotPair, Carried, Party, pair

ZONES = ("a", "b", "c", "d")


@st.composite
def cleared(draw):
    """Orders, offers and flows that balance in every zone and slot: made of matches taken apart."""
    taken: Counter[tuple[str, str, int]] = Counter()
    flows: Counter[tuple[str, str, int]] = Counter()
    for _ in range(draw(st.integers(1, 12))):
        route = draw(st.lists(st.sampled_from(ZONES), min_size=1, max_size=4, unique=True))
        start = draw(st.integers(0, 5))
        units = draw(st.integers(1, 5))
        offer = f"s{draw(st.integers(0, 2))}{route[0]}"
        order = f"b{draw(st.integers(0, 2))}{route[-1]}"
        for slot in range(start, start + draw(st.integers(1, 4))):
            taken["s", offer, slot] += units
            taken["b", order, slot] += units
            for tail, head in pairwise(route):
                flows[tail, head, slot] += units
    # What goes both ways over a link is netted, as an auction would never have it.
    for tail, head, slot in list(flows):
        netted = min(flows[tail, head, slot], flows[head, tail, slot])
        flows[tail, head, slot] -= netted
        flows[head, tail, slot] -= netted
    sides: dict[str, dict[str, dict[int, int]]] = {"b": {}, "s": {}}
    for (side, key, slot), units in taken.items():
        sides[side].setdefault(key, {})[slot] = units
    parties = {
        side: [Party(key, "g", key[-1], units) for key, units in found.items()]
        for side, found in sides.items()
    }
    carried = [
        Carried("".join(sorted(tail + head)), tail, head, "g", slot, units)
        for (tail, head, slot), units in flows.items()
        if units
    ]
    return parties["b"], parties["s"], carried


# A busy machine is slow to make anything up, which says nothing of the strategy.
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(cleared(), st.randoms())
def test_everything_taken_is_given_within_the_flows_in_any_order(scene, random):
    orders, offers, flows = scene
    matches = pair(orders, offers, flows)
    got: Counter[tuple[str, int]] = Counter()
    used: Counter[tuple[str, str, int]] = Counter()
    zone = {party.key: party.zone for party in (*orders, *offers)}
    for match in matches:
        assert match.units > 0
        for slot in range(match.start, match.end):
            got[match.order, slot] += match.units
            got[match.offer, slot] += match.units
            at = zone[match.offer]
            for link in match.path:
                head = link.replace(at, "", 1)
                used[at, head, slot] += match.units
                at = head
            assert at == zone[match.order]
    for party in (*orders, *offers):
        for slot, units in party.units.items():
            assert got[party.key, slot] == units
    room = {(f.tail, f.head, f.slot): f.units for f in flows}
    assert all(units <= room.get(arc, 0) for arc, units in used.items())
    for rows in (orders, offers, flows):
        random.shuffle(rows)
    assert pair(orders, offers, flows) == matches


def test_what_stays_the_same_is_one_match_and_a_bulge_is_one_of_its_own():
    matches = pair(
        [Party("b", "g", "z", {1: 4, 2: 6, 3: 4})],
        [Party("s", "g", "y", {1: 4, 2: 6, 3: 4})],
        [Carried("yz", "y", "z", "g", slot, units) for slot, units in ((1, 4), (2, 6), (3, 4))],
    )
    assert matches == [("b", "s", ("yz",), 1, 4, 4), ("b", "s", ("yz",), 2, 3, 2)]


def test_a_buyer_stays_with_its_seller_though_another_comes_first():
    matches = pair(
        [Party("b", "g", "z", {1: 4, 2: 4}), Party("c", "g", "z", {2: 4})],
        [Party("x", "g", "z", {1: 4, 2: 4}), Party("a", "g", "z", {2: 4})],
        [],
    )
    assert matches == [("b", "x", (), 1, 3, 4), ("c", "a", (), 2, 3, 4)]


def test_what_does_not_balance_is_refused():
    with pytest.raises(CannotPair, match="reach no offer"):
        pair([Party("b", "g", "z", {1: 4})], [Party("s", "g", "y", {1: 4})], [])
    with pytest.raises(CannotPair, match="more is given"):
        pair([], [Party("s", "g", "y", {1: 4})], [])
