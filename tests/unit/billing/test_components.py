"""What a use costs, to the micro-yuan, and that many small records cost what one large one does."""

from __future__ import annotations

import itertools
import uuid
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.rating.components import Carriage, Part, Terms, rate

SELLER, CARRIER, OTHER = (uuid.UUID(int=n) for n in (11, 12, 13))
TERMS = Terms(
    seller=SELLER,
    seller_region="luoyang",
    compute_micro=106_000_000,
    transport_micro=10_900_000,
    full_unit_seconds=4 * 7200,
    commission_bp=300,
    compute_vat_bp=600,
    transport_vat_bp=900,
    carriages=(
        Carriage(CARRIER, "zhengzhou", 60_000),
        Carriage(None, "luoyang", 40_000),
    ),
)


def test_a_whole_trade_costs_exactly_its_price_part_by_part():
    rated = rate(TERMS, before=0, after=TERMS.full_unit_seconds)
    assert (rated.compute_micro, rated.transport_micro) == (106_000_000, 10_900_000)
    # 106 yuan contain 6 of tax; 3 % commission of 106; 10.90 of transport contain 0.90 of tax.
    assert set(rated.parts) == {
        Part("seller_net", SELLER, "luoyang", 106_000_000 - 6_000_000 - 3_180_000),
        Part("commission", None, "luoyang", 3_180_000),
        Part("compute_vat", None, "luoyang", 6_000_000),
        Part("transport_net", CARRIER, "zhengzhou", 6_000_000),
        Part("transport_vat", None, "zhengzhou", 540_000),
        Part("transport_net", None, "luoyang", 4_000_000),
        Part("transport_vat", None, "luoyang", 360_000),
    }


def test_nothing_used_costs_nothing():
    rated = rate(TERMS, before=500, after=500)
    assert (rated.amount_micro, rated.parts) == (0, ())


def test_links_of_one_carrier_in_one_region_make_one_part():
    terms = replace(TERMS, carriages=(Carriage(CARRIER, "a", 1), Carriage(CARRIER, "a", 2)))
    rated = rate(terms, before=0, after=terms.full_unit_seconds)
    assert [p for p in rated.parts if p.component == "transport_net"] == [
        Part("transport_net", CARRIER, "a", 10_000_000)
    ]


@pytest.mark.parametrize(("before", "after"), [(-1, 5), (5, 4), (0, 4 * 7200 + 1)])
def test_a_lease_is_charged_forwards_and_within_its_full_delivery(before, after):
    with pytest.raises(ValueError, match="forwards"):
        rate(TERMS, before=before, after=after)


rates = st.integers(0, 9_999)
terms = st.builds(
    Terms,
    seller=st.just(SELLER),
    seller_region=st.just("luoyang"),
    compute_micro=st.integers(0, 10**15),
    transport_micro=st.integers(0, 10**12),
    full_unit_seconds=st.integers(1, 10**7),
    commission_bp=st.integers(0, 3_000),
    compute_vat_bp=st.integers(0, 3_000),
    transport_vat_bp=rates,
    carriages=st.lists(
        st.builds(
            Carriage,
            st.sampled_from([CARRIER, OTHER, None]),
            st.sampled_from(["zhengzhou", "luoyang", "hami"]),
            st.integers(1, 10**7),
        ),
        min_size=1,
        max_size=5,
    ).map(tuple),
)


@given(terms=terms, cuts=st.lists(st.floats(0, 1), max_size=30))
def test_many_small_records_never_drift_from_one_large(terms, cuts):
    full = terms.full_unit_seconds
    marks = [0, *sorted(int(cut * full) for cut in cuts), full]
    totals: dict[tuple, int] = {}
    for before, after in itertools.pairwise(marks):
        rated = rate(terms, before=before, after=after)
        assert all(part.amount_micro > 0 for part in rated.parts)
        assert sum(part.amount_micro for part in rated.parts) == rated.amount_micro
        for part in rated.parts:
            key = (part.component, part.payee, part.region)
            totals[key] = totals.get(key, 0) + part.amount_micro
    whole = rate(terms, before=0, after=full)
    assert whole.amount_micro == terms.compute_micro + terms.transport_micro
    assert totals == {(p.component, p.payee, p.region): p.amount_micro for p in whole.parts}


@given(cost=st.integers(0, 60), seconds=st.integers(1, 200))
def test_no_part_falls_however_small_the_steps(cost, seconds):
    terms = replace(TERMS, compute_micro=cost, transport_micro=cost, full_unit_seconds=seconds)
    for before in range(seconds):
        rated = rate(terms, before=before, after=before + 1)
        assert all(part.amount_micro > 0 for part in rated.parts)
