"""What is done without a solver: a plain rule for decisions, and a plain bound on welfare.

The rule: steps alone are settled, by sending along links whatever gains; then blocks are added one
by one, the best price first, each kept only where prices exist under which nobody loses and welfare
does not fall. Minimum incomes are refused. It is exact but for the choice of blocks, and slower to
find good ones than the search; it is meant to publish something true on a bad day.
"""

from __future__ import annotations

import time
from collections import defaultdict

from exchange.market.auction.answering import answer
from exchange.market.auction.layout import Layout
from exchange.market.auction.pricing import Outcome, Pricer
from exchange.market.auction.problem import Side
from exchange.market.auction.relaxation import Decision


def by_plain_rule(layout: Layout, *, seconds: float) -> Outcome | None:
    """The outcome of the rule; None where not even the steps alone have prices."""
    until = time.monotonic() + seconds
    pricer = Pricer(layout)
    lots = [0] * len(layout.blocks)
    refused = frozenset(range(len(layout.incomes)))
    best = pricer.settled(Decision(tuple(lots), refused), [0] * len(layout.arcs))
    if not isinstance(best, Outcome):
        return None
    welfare = answer(layout, best).objective_micro
    order = sorted(
        range(len(layout.blocks)),
        key=lambda i: (layout.blocks[i].sign * layout.blocks[i].block.price_micro, i),
    )
    for i in order:
        parent = layout.blocks[i].parent
        if time.monotonic() > until or (parent >= 0 and not lots[parent]):
            continue
        lots[i] = layout.blocks[i].lots
        tried = pricer.settled(Decision(tuple(lots), refused), list(best.flows))
        if isinstance(tried, Outcome):
            gained = answer(layout, tried).objective_micro
            if gained >= welfare:
                best, welfare = tried, gained
                continue
        lots[i] = 0
    return best


def plain_bound_micro(layout: Layout) -> int:
    """More welfare than any outcome can have: links carry everything for nothing, and blocks give
    any part of what they have in each slot."""
    offers: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    bids: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    for rung in layout.rungs:
        book = offers if rung.side is Side.SELL else bids
        book[layout.cell_of[rung.node]].append((rung.price_micro, rung.units))
    for placed in layout.blocks:
        book = offers if placed.sign > 0 else bids
        for node, units in placed.parts:
            cell = layout.cell_of[node]
            book[cell].append((placed.block.price_micro, units * placed.lots))
    return sum(_most_welfare(offers[cell], bids[cell]) for cell in set(offers) & set(bids))


def _most_welfare(offers: list[tuple[int, int]], bids: list[tuple[int, int]]) -> int:
    offers, bids = sorted(offers, reverse=True), sorted(bids)
    welfare = 0
    while offers and bids and bids[-1][0] > offers[-1][0]:
        (asked, offered), (bid, wanted) = offers.pop(), bids.pop()
        units = min(offered, wanted)
        welfare += units * (bid - asked)
        if offered > units:
            offers.append((asked, offered - units))
        if wanted > units:
            bids.append((bid, wanted - units))
    return welfare
