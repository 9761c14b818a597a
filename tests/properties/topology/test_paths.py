"""Paths against the brute force of trying every way through small networks."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.topology.paths import WITHIN_REGION_RTT_US, LinkTerms, Network, PathTerms

CITIES = "abcde"


@st.composite
def link_tables(draw):
    ends = st.lists(st.sampled_from(CITIES), min_size=2, max_size=2, unique=True)
    rows = draw(st.lists(st.tuples(ends, st.integers(0, 5), st.integers(0, 5)), max_size=9))
    return [LinkTerms(i, a, b, rtt, price) for i, ((a, b), rtt, price) in enumerate(rows, 1)]


def every_way(links, a, b):
    """All simple ways from a to b."""
    ways = []

    def walk(at, seen, price, rtt_us, used):
        if at == b:
            ways.append(PathTerms(price, rtt_us, used))
            return
        for link in links:
            if at in (link.region_a, link.region_b):
                to = link.region_b if at == link.region_a else link.region_a
                if to not in seen:
                    price_to = price + link.price_micro_per_gb
                    walk(to, seen | {to}, price_to, rtt_us + link.rtt_us, (*used, link.id))

    walk(a, {a}, 0, 0, ())
    return ways


@given(link_tables(), st.sampled_from(CITIES[:2]), st.sampled_from(CITIES[2:]), st.integers(0, 16))
@settings(max_examples=300, deadline=None)
def test_the_cheapest_way_within_the_bound_is_found(links, a, b, bound_us):
    network = Network(links)
    for bound in (None, bound_us):
        fit = [way for way in every_way(links, a, b) if bound is None or way.rtt_us <= bound]
        found = network.path(a, b, bound)
        if not fit:
            assert found is None
            continue
        best = min(fit, key=lambda way: (way.price_micro_per_gb, way.rtt_us, way.links))
        assert found == best


@given(link_tables(), st.sampled_from(CITIES), st.sampled_from(CITIES), st.randoms())
@settings(max_examples=100, deadline=None)
def test_equal_tables_give_equal_paths_there_and_back(links, a, b, random):
    shuffled = random.sample(links, len(links))
    there = Network(links).path(a, b, None)
    assert Network(shuffled).path(a, b, None) == there
    back = Network(links).path(b, a, None)
    if there is None or back is None:
        assert there is back
    else:
        assert (back.price_micro_per_gb, back.rtt_us) == (there.price_micro_per_gb, there.rtt_us)


def test_inside_a_region_data_moves_for_nothing_if_the_circle_is_wide_enough():
    network = Network([])
    assert network.path("a", "a", None) == PathTerms(0, WITHIN_REGION_RTT_US, ())
    assert network.path("a", "a", WITHIN_REGION_RTT_US) is not None
    assert network.path("a", "a", WITHIN_REGION_RTT_US - 1) is None
    assert network.path("a", "b", None) is None


@pytest.mark.parametrize("terms", [(-1, 0), (0, -1)])
def test_negative_links_are_refused(terms):
    with pytest.raises(ValueError, match="not negative"):
        Network([LinkTerms(1, "a", "b", *terms)])
