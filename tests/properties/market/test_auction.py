"""Random small auctions: the checker accepts, brute force agrees, and what should not matter
does not."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.market.auction.clearing import clear
from exchange.market.auction.problem import (
    Block,
    FlowLimit,
    Link,
    MinimumIncome,
    Problem,
    Side,
    Step,
)
from exchange.market.auction.result import Method
from tests.unit.market.auction.words import YUAN, best_by_brute_force, findings

GRADES, ZONES, SLOTS = ("g", "h"), ("a", "b", "c"), (0, 1, 2)


@st.composite
def problems(draw, grades=GRADES, incomes=True):
    """A few orders that collide: few prices, scarce links, blocks as large as the steps."""
    random = draw(st.randoms(use_true_random=False))
    zones = ZONES[: random.randint(1, 3)]
    steps = tuple(
        Step(
            f"s{i:02}",
            random.choice(list(Side)),
            random.choice(grades),
            random.choice(zones),
            random.choice(SLOTS),
            random.randint(1, 12) * YUAN,
            random.randint(1, 9),
        )
        for i in range(random.randint(0, 24))
    )
    blocks = []
    for i in range(random.randint(0, 5)):
        start = random.choice(SLOTS)
        blocks.append(
            Block(
                f"b{i}",
                random.choice(list(Side)),
                random.choice(grades),
                random.choice(zones),
                random.randint(1, 12) * YUAN,
                tuple(
                    (t, random.choice((2, 4))) for t in range(start, random.randint(start, 2) + 1)
                ),
                random.choice((Fraction(1), Fraction(1, 2))),
                f"b{random.randrange(i)}" if i and random.random() < 0.3 else None,
            )
        )
    links = tuple(
        Link(
            f"{x}{y}",
            x,
            y,
            random.choice((0, YUAN)),
            tuple(FlowLimit(t, -random.randint(0, 6), random.randint(0, 6)) for t in SLOTS),
        )
        for x in zones
        for y in zones
        if x < y
    )
    mine = tuple(s.id for s in steps if s.side is Side.SELL)[:3]
    conditions = ()
    if incomes and mine and random.random() < 0.4:
        conditions = (MinimumIncome("m", mine, random.randint(0, 60) * YUAN, YUAN),)
    return Problem(zones, grades, SLOTS, steps, tuple(blocks), links, conditions)


@settings(max_examples=150, deadline=None)
@given(problem=problems())
def test_the_checker_accepts_and_brute_force_agrees(problem):
    result = clear(problem)
    assert findings(problem, result) == []
    assert result.method is Method.OPTIMAL
    best = best_by_brute_force(problem)
    assert result.objective_micro <= result.bound_micro
    assert best <= result.bound_micro
    assert result.objective_micro >= best - abs(best) // 10**6


def shuffled(things, random):
    return tuple(random.sample(things, len(things)))


@settings(max_examples=60, deadline=None)
@given(problem=problems(), seed=st.integers(0, 2**32))
def test_the_order_of_the_input_changes_nothing(problem, seed):
    random = Random(seed)
    other = replace(
        problem,
        zones=shuffled(problem.zones, random),
        steps=shuffled(problem.steps, random),
        blocks=shuffled(problem.blocks, random),
        links=shuffled(problem.links, random),
    )
    one, two = clear(problem), clear(other)
    assert replace(one, seconds=0, solver_seconds=0) == replace(two, seconds=0, solver_seconds=0)


@settings(max_examples=60, deadline=None)
@given(problem=problems(), times=st.sampled_from((2, 10, 1000)))
def test_prices_in_another_money_give_the_same_welfare_in_it(problem, times):
    other = replace(
        problem,
        steps=tuple(replace(s, price_micro=s.price_micro * times) for s in problem.steps),
        blocks=tuple(replace(b, price_micro=b.price_micro * times) for b in problem.blocks),
        links=tuple(replace(k, price_micro=k.price_micro * times) for k in problem.links),
        minimum_incomes=tuple(
            replace(m, fixed_micro=m.fixed_micro * times, price_micro=m.price_micro * times)
            for m in problem.minimum_incomes
        ),
    )
    assert clear(other).objective_micro == clear(problem).objective_micro * times


@settings(max_examples=60, deadline=None)
@given(problem=problems())
def test_splitting_an_order_into_equal_ones_moves_no_price(problem):
    split = tuple(
        part
        for s in problem.steps
        for part in (
            (
                replace(s, id=f"{s.id}x", units=s.units // 2),
                replace(s, id=f"{s.id}y", units=s.units // 2),
            )
            if s.units % 2 == 0
            else (s,)
        )
    )
    names = {s.id for s in split}
    conditions = tuple(
        replace(
            m, step_ids=tuple(n for i in m.step_ids for n in (i, f"{i}x", f"{i}y") if n in names)
        )
        for m in problem.minimum_incomes
    )
    one, two = clear(problem), clear(replace(problem, steps=split, minimum_incomes=conditions))
    assert one.prices_micro == two.prices_micro
    assert one.objective_micro == two.objective_micro
    assert [b.lots for b in one.blocks] == [b.lots for b in two.blocks]


@settings(max_examples=60, deadline=None)
@given(problem=problems(grades=("g",)))
def test_an_order_of_another_grade_changes_nothing_here(problem):
    other = replace(
        problem,
        grades=("g", "z"),
        steps=(*problem.steps, Step("z", Side.SELL, "z", "a", 0, 5 * YUAN, 3)),
    )
    one, two = clear(problem), clear(other)
    assert one.objective_micro == two.objective_micro
    assert two.step_units["z"] == 0
