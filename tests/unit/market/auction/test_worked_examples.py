"""Auctions small enough to be worked out by hand, with the answers that are known."""

from __future__ import annotations

from fractions import Fraction

import pytest

from exchange.market.auction.clearing import clear
from exchange.market.auction.problem import MinimumIncome, problem_from_json
from exchange.market.auction.result import Method, Reason
from tests.unit.market.auction.words import (
    YUAN,
    auction,
    block,
    buy,
    findings,
    link,
    papers,
    price,
    sell,
)

DEMAND = (buy("d1", 10, 300), buy("d2", 14, 10))


def cleared(problem):
    result = clear(problem)
    assert findings(problem, result) == []
    assert result.method is Method.OPTIMAL
    return result


def test_bichler_2021_divisible_supply():
    result = cleared(auction(*DEMAND, sell("s1", 1, 40), sell("s2", 11, 40), sell("s3", 13, 100)))
    assert price(result) == 40
    assert sum(result.step_units[i] for i in ("d1", "d2")) == 10
    assert result.step_units["s3"] == 0


def test_bichler_2021_block_with_a_least_share_is_rejected():
    offered = block("b", "sell", 40, {0: 12}, least=Fraction(11, 12))
    result = cleared(auction(*DEMAND, sell("s3", 13, 100), offered))
    assert price(result) == 100
    assert result.step_units == {"d1": 10, "d2": 0, "s3": 10}
    (answer,) = result.blocks
    assert (answer.lots, answer.reason) == (0, Reason.PARADOXICAL)
    assert answer.forgone_micro == 12 * 60 * YUAN


def test_the_marginal_order_sets_the_price_and_shares_what_is_left():
    result = cleared(
        auction(buy("d", 10, 90), sell("a", 4, 20), sell("b", 5, 50), sell("c", 4, 50))
    )
    assert price(result) == 50
    assert result.step_units == {"d": 10, "a": 4, "b": 3, "c": 3}


def test_between_the_last_orders_the_price_is_the_midpoint():
    assert price(cleared(auction(buy("d", 10, 90), sell("s", 10, 20)))) == 55


def test_where_nothing_trades_the_price_lies_between_the_best_of_each_side():
    result = cleared(auction(buy("d", 10, 30), sell("s", 10, 50)))
    assert price(result) == 40
    assert result.objective_micro == 0


def test_a_zone_without_orders_or_links_has_no_price():
    result = cleared(auction(buy("d", 1, 30), sell("s", 1, 20), zones=("a", "b")))
    assert set(result.prices_micro) == {("g", "a", 0)}


@pytest.mark.parametrize(
    ("most", "prices", "flow", "rent"),
    [(100, (20, 22), 60, 0), (40, (20, 80), 40, 58 * 40), (0, (20, 80), 0, 0)],
    ids=["coupled", "congested", "split"],
)
def test_two_zones(most, prices, flow, rent):
    result = cleared(
        auction(
            sell("cheap", 200, 20, "a"),
            sell("dear", 200, 80, "b"),
            buy("da", 50, 100, "a"),
            buy("db", 60, 100, "b"),
            link("a", "b", most, 2),
            zones=("a", "b"),
        )
    )
    assert (price(result, "a"), price(result, "b")) == prices
    assert sum(f.units for f in result.flows) == flow
    assert result.totals.rent_micro == rent * YUAN
    assert result.totals.transport_micro == flow * 2 * YUAN


def test_a_block_is_judged_by_its_mean_over_slots():
    result = cleared(
        auction(
            block("b", "sell", 50, {0: 5, 1: 5}),
            buy("noon", 5, 80, slot=0),
            buy("night", 5, 30, slot=1),
            slots=(0, 1),
        )
    )
    assert result.blocks[0].lots == 5
    assert price(result, slot=0) + price(result, slot=1) >= 100


def test_a_child_is_accepted_only_with_its_parent():
    orders = (
        buy("d", 10, 60),
        block("parent", "sell", 90, {0: 5}),
        block("child", "sell", 10, {0: 5}, parent="parent"),
        sell("s", 10, 50),
    )
    result = cleared(auction(*orders))
    assert {b.id: b.reason for b in result.blocks} == {
        "parent": Reason.OUT_OF_THE_MONEY,
        "child": Reason.PARENT_REJECTED,
    }


@pytest.mark.parametrize(("fixed", "accepted"), [(400, True), (401, False)])
def test_a_minimum_income_is_met_or_none_of_the_seller_is_accepted(fixed, accepted):
    income = MinimumIncome("m", ("mine",), fixed * YUAN)
    result = cleared(
        auction(buy("d", 10, 90), sell("mine", 10, 20), sell("s", 10, 40), incomes=(income,))
    )
    assert result.step_units["mine"] == (10 if accepted else 0)
    assert result.incomes[0].accepted is accepted


def test_grades_share_a_link():
    orders = [
        order
        for grade, worth in (("g", 50), ("h", 90))
        for order in (
            sell(f"s{grade}", 30, 10, "a", grade=grade),
            buy(f"d{grade}", 30, worth, "b", grade=grade),
        )
    ]
    result = cleared(auction(*orders, link("a", "b", 40), zones=("a", "b"), grades=("g", "h")))
    assert {f.grade: f.units for f in result.flows} == {"g": 10, "h": 30}


def test_a_problem_survives_its_json():
    problem = auction(
        *DEMAND,
        block("b", "sell", 40, {0: 12}, least=Fraction(1, 2)),
        link("a", "b", 3),
        zones=("a", "b"),
    )
    document, _ = papers(problem, clear(problem))
    assert problem_from_json(document).digest() == problem.digest()
