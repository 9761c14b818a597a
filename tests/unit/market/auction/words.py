"""Short ways to say small auctions."""

from __future__ import annotations

import json
from fractions import Fraction
from itertools import product

from exchange.market.auction.answering import answer
from exchange.market.auction.certificate import certificate
from exchange.market.auction.checker import check
from exchange.market.auction.fallback import plain_bound_micro
from exchange.market.auction.layout import lay_out
from exchange.market.auction.pricing import Outcome, Pricer
from exchange.market.auction.problem import Block, FlowLimit, Link, Problem, Side, Step
from exchange.market.auction.relaxation import Decision

YUAN = 1_000_000


def buy(id_, units, yuan, zone="a", slot=0, *, grade="g"):
    return Step(id_, Side.BUY, grade, zone, slot, yuan * YUAN, units)


def sell(id_, units, yuan, zone="a", slot=0, *, grade="g"):
    return Step(id_, Side.SELL, grade, zone, slot, yuan * YUAN, units)


def block(id_, side, yuan, units_by_slot, zone="a", *, grade="g", least=Fraction(1), parent=None):
    by_slot = tuple(sorted(units_by_slot.items()))
    return Block(id_, Side(side), grade, zone, yuan * YUAN, by_slot, Fraction(least), parent)


def link(from_zone, to_zone, most, yuan=0, slots=(0,)):
    limits = tuple(FlowLimit(slot, -most, most) for slot in slots)
    return Link(f"{from_zone}-{to_zone}", from_zone, to_zone, yuan * YUAN, limits)


def auction(*things, zones=("a",), slots=(0,), grades=("g",), incomes=()):
    return Problem(
        zones=tuple(zones),
        grades=tuple(grades),
        slots=tuple(slots),
        steps=tuple(t for t in things if isinstance(t, Step)),
        blocks=tuple(t for t in things if isinstance(t, Block)),
        links=tuple(t for t in things if isinstance(t, Link)),
        minimum_incomes=tuple(incomes),
    )


def papers(problem, result):
    """Problem and certificate as somebody else would read them."""
    said = json.loads(json.dumps(certificate(result)))
    return json.loads(json.dumps(problem.as_json())), said


def findings(problem, result):
    return [finding.rule for finding in check(*papers(problem, result))]


def price(result, zone="a", slot=0, grade="g"):
    return result.prices_micro[grade, zone, slot] / YUAN


def best_by_brute_force(problem):
    """The most welfare over every decision on blocks and incomes, without HiGHS's search.

    Each decision is settled from nothing by sending along links what gains; one is kept where
    prices exist under which nobody loses.
    """
    layout = lay_out(problem)
    pricer = Pricer(layout)
    lots = [(0, *range(b.least_lots, b.lots + 1)) for b in layout.blocks]
    best = None
    for chosen in product(*lots, *[(0, 1)] * len(layout.incomes)):
        taken = chosen[: len(lots)]
        refused = frozenset(i for i, yes in enumerate(chosen[len(lots) :]) if not yes)
        if any(
            k and b.parent >= 0 and not taken[b.parent]
            for k, b in zip(taken, layout.blocks, strict=True)
        ):
            continue
        outcome = pricer.settled(Decision(taken, refused), [0] * len(layout.arcs))
        if isinstance(outcome, Outcome):
            welfare = answer(layout, outcome).objective_micro
            best = welfare if best is None else max(best, welfare)
    assert best is not None
    assert best <= plain_bound_micro(layout)
    return best
