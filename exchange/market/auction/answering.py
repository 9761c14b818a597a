"""Says an outcome in the problem's words: shares, money, and why blocks were rejected."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from exchange.market.auction.layout import Layout, Placed
from exchange.market.auction.pricing import Outcome, accepted_of_steps
from exchange.market.auction.problem import Node, Side
from exchange.market.auction.result import (
    BlockAnswer,
    Flow,
    IncomeAnswer,
    Reason,
    Totals,
)


@dataclass(frozen=True, slots=True)
class Answers:
    """The parts of a result that follow from an outcome."""

    prices_micro: dict[Node, int]
    step_units: dict[str, int]
    blocks: tuple[BlockAnswer, ...]
    incomes: tuple[IncomeAnswer, ...]
    flows: tuple[Flow, ...]
    totals: Totals
    objective_micro: int


def answer(layout: Layout, outcome: Outcome) -> Answers:
    """Work out everything that follows from an outcome; all exact."""
    prices = {n: p for n, p in enumerate(outcome.prices) if p is not None}
    net = dict(enumerate(outcome.net_units))
    step_units = accepted_of_steps(layout, outcome.decision, net, prices)
    accepted = [sum(step_units.get(s.id, 0) for s in rung.steps) for rung in layout.rungs]
    payments = receipts = objective = 0
    for rung, units in zip(layout.rungs, accepted, strict=True):
        if units:
            money = units * prices[rung.node]
            value = units * rung.price_micro
            if rung.side is Side.BUY:
                payments, objective = payments + money, objective + value
            else:
                receipts, objective = receipts + money, objective - value
    blocks: list[BlockAnswer] = []
    for placed, lots in zip(layout.blocks, outcome.decision.lots, strict=True):
        parent = placed.parent < 0 or outcome.decision.lots[placed.parent] > 0
        blocks.append(_block_answer(placed, lots, prices.__getitem__, parent_accepted=parent))
        money = lots * sum(units * prices[node] for node, units in placed.parts)
        value = lots * placed.block.price_micro * sum(units for _, units in placed.parts)
        objective -= placed.sign * value
        payments += money if placed.sign < 0 else 0
        receipts += money if placed.sign > 0 else 0
    flows = _flows(layout, outcome.flows, prices)
    totals = Totals(
        payments_micro=payments,
        receipts_micro=receipts,
        transport_micro=sum(flow.transport_micro for flow in flows),
        rent_micro=sum(flow.rent_micro for flow in flows),
    )
    return Answers(
        prices_micro={layout.nodes[n]: p for n, p in sorted(prices.items())},
        step_units={
            s.id: step_units.get(s.id, 0) for s in sorted(layout.problem.steps, key=lambda s: s.id)
        },
        blocks=tuple(blocks),
        incomes=_incomes(layout, outcome, accepted, prices),
        flows=flows,
        totals=totals,
        objective_micro=objective - totals.transport_micro,
    )


def _block_answer(
    placed: Placed, lots: int, price: Callable[[int], int], *, parent_accepted: bool
) -> BlockAnswer:
    gain_per_lot = placed.sign * sum(
        units * (price(node) - placed.block.price_micro) for node, units in placed.parts
    )
    forgone = (placed.lots - lots) * gain_per_lot
    reason: Reason | None = None
    if lots < placed.lots:
        reason = Reason.OUT_OF_THE_MONEY
        if forgone > 0:
            reason = Reason.PARADOXICAL if parent_accepted else Reason.PARENT_REJECTED
    return BlockAnswer(
        id=placed.block.id,
        lots=lots,
        units_by_slot=tuple(
            (slot, units // placed.lots * lots)
            for slot, units in sorted(placed.block.units_by_slot)
        ),
        surplus_micro=lots * gain_per_lot,
        forgone_micro=max(forgone, 0),
        reason=reason,
    )


def _flows(layout: Layout, flows: Sequence[int], prices: dict[int, int]) -> tuple[Flow, ...]:
    links = sorted(layout.problem.links, key=lambda link: link.id)
    said: list[Flow] = []
    for arc, units in zip(layout.arcs, flows, strict=True):
        # Where no order reaches, nothing has a price, and what flows there flows in a circle.
        if units and arc.head in prices and arc.tail in prices:
            limit = layout.limits[arc.limit]
            transport = abs(units) * arc.price_micro
            brought = units * (prices[arc.head] - prices[arc.tail])
            said.append(
                Flow(
                    link=links[limit.link].id,
                    grade=layout.nodes[arc.tail].grade,
                    slot=limit.slot,
                    units=units,
                    transport_micro=transport,
                    rent_micro=brought - transport,
                )
            )
    return tuple(said)


def _incomes(
    layout: Layout, outcome: Outcome, accepted: Sequence[int], prices: dict[int, int]
) -> tuple[IncomeAnswer, ...]:
    earned = [0] * len(layout.incomes)
    units = [0] * len(layout.incomes)
    for rung, given in zip(layout.rungs, accepted, strict=True):
        if rung.income >= 0 and given:
            earned[rung.income] += given * prices[rung.node]
            units[rung.income] += given
    return tuple(
        IncomeAnswer(
            id=income.id,
            accepted=i not in outcome.decision.refused,
            income_micro=earned[i],
            least_micro=(income.fixed_micro + income.price_micro * units[i]) if units[i] else 0,
        )
        for i, income in enumerate(layout.incomes)
    )
