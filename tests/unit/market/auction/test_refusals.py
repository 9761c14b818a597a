"""What is no auction is refused by a named rule; what fails is said in the result."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from exchange.market.auction import clearing
from exchange.market.auction.clearing import clear
from exchange.market.auction.problem import FlowLimit, Link, MinimumIncome
from exchange.market.auction.relaxation import Model, SolverFailed
from exchange.market.auction.result import Method
from exchange.market.auction.validation import ProblemRefused, Rule, validate
from tests.unit.market.auction.words import YUAN, auction, block, buy, findings, link, sell

ONE = sell("s", 1, 10)
BROKEN = {
    Rule.DUPLICATE_ID: auction(ONE, ONE),
    Rule.UNKNOWN_ZONE: auction(sell("s", 1, 10, "nowhere")),
    Rule.UNKNOWN_GRADE: auction(sell("s", 1, 10, grade="none")),
    Rule.UNKNOWN_SLOT: auction(sell("s", 1, 10, slot=9)),
    Rule.UNKNOWN_PARENT: auction(block("b", "sell", 1, {0: 1}, parent="none")),
    Rule.UNKNOWN_STEP: auction(incomes=(MinimumIncome("m", ("none",), 1),)),
    Rule.PARENT_CYCLE: auction(
        block("b", "sell", 1, {0: 1}, parent="c"), block("c", "sell", 1, {0: 1}, parent="b")
    ),
    Rule.UNITS_OUT_OF_RANGE: auction(sell("s", 0, 10)),
    Rule.PRICE_OUT_OF_RANGE: auction(sell("s", 1, -1)),
    Rule.RATIO_OUT_OF_RANGE: auction(block("b", "sell", 1, {0: 1}, least=Fraction(0))),
    Rule.EMPTY_BLOCK: auction(block("b", "sell", 1, {})),
    Rule.REPEATED_SLOT: auction(
        replace(block("b", "sell", 1, {0: 1}), units_by_slot=((0, 1), (0, 2)))
    ),
    Rule.FLOW_LIMIT_OUT_OF_RANGE: auction(
        Link("l", "a", "b", 0, (FlowLimit(0, 1, 2),)), zones=("a", "b")
    ),
    Rule.LINK_TO_ITSELF: auction(link("a", "a", 1)),
    Rule.INCOME_OF_A_BUYER: auction(buy("d", 1, 1), incomes=(MinimumIncome("m", ("d",), 1),)),
    Rule.INCOME_SHARED: auction(
        ONE, incomes=(MinimumIncome("m", ("s",), 1), MinimumIncome("n", ("s",), 1))
    ),
    Rule.INCOME_OUT_OF_RANGE: auction(ONE, incomes=(MinimumIncome("m", ("s",), -1),)),
    Rule.TOO_LARGE: auction(zones=map(str, range(1001)), slots=range(1000)),
}


def test_each_rule_has_a_case():
    assert set(BROKEN) == set(Rule)


@pytest.mark.parametrize("rule", BROKEN)
def test_what_breaks_a_rule_is_refused_by_its_name(rule):
    with pytest.raises(ProblemRefused) as refused:
        validate(BROKEN[rule])
    assert refused.value.rule is rule


def test_round_trips_of_free_links_and_regions_apart_are_allowed():
    problem = auction(
        sell("s", 5, 10, "a"),
        buy("d", 5, 20, "c"),
        buy("apart", 5, 20, "d"),
        *(link(x, y, 9) for x, y in ("ab", "bc", "ca")),
        zones="abcd",
    )
    result = clear(problem)
    assert findings(problem, result) == []
    assert result.step_units == {"apart": 0, "d": 5, "s": 5}


LINKED = auction(
    *(sell(f"s{i}", 10, 10 + i, "a", slot=i) for i in range(4)),
    *(buy(f"d{i}", 15, 40 + i, "b", slot=i) for i in range(4)),
    block("b", "sell", 20, {0: 3, 1: 3}, "a"),
    block("c", "buy", 15, {1: 3, 2: 3}, "b"),
    link("a", "b", 12, 1, slots=range(4)),
    zones=("a", "b"),
    slots=range(4),
)


def test_without_a_solver_a_plain_rule_answers_and_says_so(monkeypatch):
    best = clear(LINKED)

    def fail(self):
        raise SolverFailed("out of memory")

    monkeypatch.setattr(Model, "_run", fail)
    result = clear(LINKED)
    assert (result.method, result.note) == (Method.FALLBACK, "out of memory")
    assert findings(LINKED, result) == []
    assert result.objective_micro <= best.objective_micro <= result.bound_micro
    assert result.objective_micro > 0


def test_a_solver_that_fails_halfway_leaves_the_best_found(monkeypatch):
    def fail(self, **_):
        raise SolverFailed("numerical trouble")

    monkeypatch.setattr(Model, "search", fail)
    result = clear(LINKED)
    assert (result.method, result.note) == (Method.FALLBACK, "numerical trouble")
    assert findings(LINKED, result) == []


def test_out_of_time_the_gap_is_said():
    result = clear(LINKED, time_limit_s=0.0)
    assert result.method is Method.TIME_LIMIT
    assert findings(LINKED, result) == []
    assert result.gap > 0


def test_price_limits_that_leave_no_price_are_said():
    problem = replace(
        auction(
            sell("s", 5, 10, "a"),
            buy("d", 5, 20, "b"),
            link("a", "b", 9, 5),
            zones=("a", "b"),
        ),
        lowest_price_micro=10 * YUAN,
        highest_price_micro=20 * YUAN,
    )
    assert findings(problem, clear(problem)) == []
    assert clearing.GAP > 0
