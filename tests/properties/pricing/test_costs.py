"""What a trade costs bounds whatever its use comes to, in however many pieces it is charged."""

from __future__ import annotations

from itertools import pairwise
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from billing.rating.components import Carriage, Terms, rate
from exchange.pricing.engine import compute_cost, trade_cost, transport_cost

units = st.integers(1, 10_000)
numerators = st.integers(0, 10**15)
nanos = st.integers(0, 10**12)


@given(numerators, nanos, units)
def test_a_trade_costs_no_less_than_the_exact_amount_and_less_than_two_micro_yuan_more(
    numerator, nano, count
):
    cost = trade_cost(price_numerator=numerator, units=count, transport_nano_per_unit=nano)
    exact_by_3_600_000 = count * (1_000 * numerator + 3_600 * nano)
    assert 0 <= cost * 3_600_000 - exact_by_3_600_000 < 2 * 3_600_000


@given(numerators, nanos, units, units)
def test_one_trade_costs_no_more_than_two_that_make_it_up(numerator, nano, first, second):
    def cost(count):
        return trade_cost(price_numerator=numerator, units=count, transport_nano_per_unit=nano)

    assert cost(first + second) <= cost(first) + cost(second)


def test_worked_figures():
    # 8 units at 12.34 yuan an hour for 90 minutes, 100.5 GB each at 0.0042 yuan
    numerator = 12_340_000 * 5_400
    assert compute_cost(price_numerator=numerator, units=8) == 148_080_000
    assert transport_cost(transport_nano_per_unit=100_500 * 4_200, units=8) == 3_376_800
    assert compute_cost(price_numerator=1, units=1) == 1  # the least is rounded up


@given(
    st.integers(1, 10**9),
    nanos,
    st.integers(1, 50),
    st.integers(1, 50_000),
    st.lists(st.integers(1, 400), max_size=30),
    st.data(),
)
def test_charging_in_pieces_comes_to_the_same_and_stays_within_the_cost(  # noqa: PLR0917
    price_micro, nano, count, seconds, cuts, data
):
    numerator = price_micro * seconds
    terms = Terms(
        seller=UUID(int=7),
        seller_region="luoyang",
        compute_micro=compute_cost(price_numerator=numerator, units=count),
        transport_micro=transport_cost(transport_nano_per_unit=nano, units=count),
        full_unit_seconds=count * seconds,
        commission_bp=data.draw(st.integers(0, 1_000)),
        compute_vat_bp=600,
        transport_vat_bp=900,
        carriages=(Carriage(None, "luoyang", 3), Carriage(UUID(int=8), "zhengzhou", 4)),
    )
    delivered = data.draw(st.integers(0, terms.full_unit_seconds))
    edges = sorted({0, delivered, *(delivered * cut // 400 for cut in cuts)})
    pieces = [rate(terms, before=a, after=b) for a, b in pairwise(edges)]
    whole = rate(terms, before=0, after=delivered)
    assert sum(piece.amount_micro for piece in pieces) == whole.amount_micro
    assert whole.amount_micro <= trade_cost(
        price_numerator=numerator, units=count, transport_nano_per_unit=nano
    )
    for rated in (*pieces, whole):
        assert sum(part.amount_micro for part in rated.parts) == rated.amount_micro
        assert all(part.amount_micro >= 0 for part in rated.parts)
