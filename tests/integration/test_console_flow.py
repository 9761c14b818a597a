"""The flow chart's geometry and the looks of figures: pure, so property tests can say it all."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console import flow
from console.templatetags import console_format as look

PARTIES = st.sampled_from("abcdefghijklmnopqrstuvwxyz")
FLOWS = st.dictionaries(
    st.tuples(PARTIES, PARTIES).filter(lambda pair: pair[0] != pair[1]),
    st.integers(1, 10**15),
    max_size=200,
).map(lambda owed: [flow.Flow(a, b, amount) for (a, b), amount in owed.items()])


def drawn(flows: list[flow.Flow]) -> flow.Chart:
    total = sum(one.amount for one in flows)
    return flow.chart(flows, scale_total=total, tone_of=flow.tones(flows))


@given(FLOWS)
def test_nothing_is_lost(flows: list[flow.Flow]) -> None:
    chart = drawn(flows)
    assert len(chart.ribbons) + chart.left_out_count == len(flows)
    assert sum(r.flow.amount for r in chart.ribbons) + chart.left_out_amount == sum(
        one.amount for one in flows
    )
    sides: dict[str, int] = defaultdict(int)
    for bar in chart.bars:
        sides[bar.anchor] += bar.amount
    assert set(sides.values()) <= {sum(one.amount for one in flows)}


@given(FLOWS)
def test_names_never_overlap_and_all_lies_inside(flows: list[flow.Flow]) -> None:
    chart = drawn(flows)
    for anchor in ("start", "end"):
        lines = sorted(bar.label_y for bar in chart.bars if bar.anchor == anchor)
        assert all(b - a >= flow.SLOT for a, b in pairwise(lines))
    for bar in chart.bars:
        assert bar.y >= 0
        assert bar.y + bar.height <= chart.height
        assert 0 <= bar.label_x <= chart.width


@given(FLOWS, st.randoms(use_true_random=False))
def test_the_drawing_does_not_depend_on_the_order(flows: list[flow.Flow], chance: object) -> None:
    shuffled = list(flows)
    chance.shuffle(shuffled)
    assert drawn(flows) == drawn(shuffled)


def test_ribbons_are_as_wide_as_their_amounts_and_lie_on_their_bars() -> None:
    chart = drawn([flow.Flow("a", "c", 3), flow.Flow("a", "d", 1), flow.Flow("b", "c", 2)])
    wide = {(r.flow.debtor, r.flow.creditor): r.width for r in chart.ribbons}
    assert wide == {("a", "c"): 150.0, ("a", "d"): 50.0, ("b", "c"): 100.0}
    bars = {(bar.party, bar.anchor): bar for bar in chart.bars}
    assert bars["a", "end"].height == 200.0
    assert bars["c", "start"].height == 250.0
    assert bars["c", "start"].y < bars["d", "start"].y


def test_an_empty_chart_is_drawn() -> None:
    chart = flow.chart([], scale_total=0, tone_of={})
    assert (chart.bars, chart.ribbons, chart.left_out_count) == ([], [], 0)


@pytest.mark.parametrize(
    ("amount_micro", "shown"),
    [
        (0, "¥0.00"),
        (1, "¥0.00"),
        (4_999, "¥0.00"),
        (5_000, "¥0.00"),  # half to even
        (15_000, "¥0.02"),
        (1_234_567_890_000, "¥1,234,567.89"),
        (-12_345_678, "−¥12.35"),
        (9_223_372_036_854_775_807, "¥9,223,372,036,854.78"),
    ],
)
def test_yuan(amount_micro: int, shown: str) -> None:
    assert look.plain_yuan(amount_micro) == shown
    assert shown in look.yuan(amount_micro)


def test_the_exact_amount_shows_on_hover() -> None:
    assert look.yuan(12_345_678) == (
        '<data class="money" value="12345678" title="¥12.345678">¥12.35</data>'
    )
    assert look.yuan(None) == look.NOTHING


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (1_234_567, "1,234,567"),
        (-5, "−5"),
        (Decimal("1.180"), "1.18"),
        (Decimal("100"), "100"),
    ],
)
def test_numbers(value: int | Decimal, shown: str) -> None:
    assert look.number(value) == shown


def test_shares() -> None:
    assert look.share(Decimal("0.7")) == "70.0\N{NO-BREAK SPACE}%"
    assert look.share(None) == look.NOTHING
