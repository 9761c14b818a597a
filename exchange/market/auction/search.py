"""Searches the decision with the greatest welfare under which nobody is at a loss.

HiGHS decides blocks without regard to losses; a decision without prices is forbidden by a cut that
takes with it whatever must fail for the same reason, and the programme is solved again. The first
decision with prices is then the best there is. On the way, decisions without prices are repaired.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from exchange.market.auction.improving import Considered, Improver
from exchange.market.auction.layout import Layout
from exchange.market.auction.pricing import Demand, NoPrices, Outcome, Pricer
from exchange.market.auction.relaxation import Answer, Cut, Decision, Literal, Model

_PROVING: Final = 0.5  # of the time is kept for proving, whatever exchanges still gain
_THIN: Final = 1e-3  # a gap after the first dive above which proofs are not expected soon
_CUTS: Final = 100  # at most, between two runs of the integer programme
_MANY: Final = 50  # blocks, under which the integer programme is quick anyway
_WHOLE_UNITS: Final = 1e-3  # what a solver's whole number may be off


@dataclass(slots=True)
class Found:
    """The best outcome so far, its welfare and the least bound, in yuan."""

    outcome: Outcome | None = None
    welfare: float = -math.inf
    bound: float = math.inf
    proven: bool = False
    solver_seconds: float = 0.0
    rounds: int = 0
    tried: dict[Decision, Considered] = field(default_factory=dict)


class Search:
    """One search on one layout."""

    def __init__(self, layout: Layout, *, seconds: float, gap: float) -> None:
        self.layout = layout
        self.until = time.monotonic() + seconds
        self.gap = gap
        self.pricer = Pricer(layout)
        self.linear = Model(layout, elastic=True)
        self._refuted: list[tuple[Decision, NoPrices, float]] = []
        self.unsure = -math.inf  # welfare of decisions cut off though they may have had prices
        self.whole: Model | None = None  # made when it is first needed
        self.found = Found()
        self.improver = Improver(layout, self.linear, self.consider, self.left)

    def run(self) -> Found:
        """Search until proven within the gap, or until time is up."""
        self.consider(self.improver.nothing())
        if not self.layout.blocks and not self.layout.incomes:
            self.found.bound, self.found.proven = self.found.welfare, True
            self.found.solver_seconds = self.linear.seconds
            return self.found
        self._dive()
        integer = Model(self.layout).as_integer()
        root = self.improver.root
        while not self.proven() and self.left() > 0:
            if root is not None:
                integer.leave_out(root, root.welfare - self.found.welfare)
            answer = integer.search(
                seconds=self.left(),
                relative_gap=self.gap / 2,
            )
            self.found.rounds += 1
            # What is left out has no more welfare than the best that was found.
            self.found.bound = min(self.found.bound, max(answer.bound, self.found.welfare))
            if not len(answer.values):
                break
            decision = integer.decision_of(answer.values)
            outcome, _ = self.consider(decision)
            if isinstance(outcome, NoPrices):
                self.improver.improve(*self.improver.repair(decision))
            self._cut_off(integer)
        models = (integer, self.linear, self.whole, self.pricer)
        self.found.solver_seconds = sum(model.seconds for model in models if model)
        self.found.bound = max(self.found.bound, self.unsure)
        self.found.proven = self.proven()
        return self.found

    def _dive(self) -> None:
        """The first good decision, and the first bound."""
        decision, bound = self.improver.dive(bold=True)
        self.found.bound = min(self.found.bound, bound)
        self.improver.repair(decision)
        best = self.found.outcome
        missing = self.found.bound - self.found.welfare
        thin = missing > max(self.gap, _THIN) * abs(self.found.bound)
        if best is not None and not self.proven():
            if thin and len(self.layout.blocks) >= _MANY:
                until = self.left() * _PROVING
                self.improver.exchange(best.decision, self.found.welfare, until=until)
                best = self.found.outcome or best
            self.improver.improve(best.decision, (best, self.found.welfare))

    def _cut_off(self, integer: Model) -> None:
        """Forbid the decisions without prices that were met since, where they would win."""
        by_welfare = sorted(self._refuted, key=lambda met: -met[2])
        for decision, why, welfare in by_welfare[:_CUTS]:
            if welfare > self.found.welfare:
                if why == NoPrices():  # only our rounding of flows may be to blame
                    self.unsure = max(self.unsure, welfare)
                integer.add_cut(self.cut(decision, why))
        self._refuted.clear()

    def left(self) -> float:
        """Seconds left."""
        return self.until - time.monotonic()

    def proven(self) -> bool:
        """Whether the gap that was asked for is reached."""
        found = self.found
        missing = found.bound - found.welfare
        return math.isfinite(missing) and missing <= self.gap * max(abs(found.bound), 1e-9)

    def consider(self, decision: Decision, *, keep: bool = True) -> Considered:
        """Settle a decision, and keep it where it is the best (and `keep` says it may be)."""
        known = self.found.tried.get(decision)
        if known is not None:
            return known
        answer: Answer = self.linear.decide(decision)
        outcome: Outcome | NoPrices
        if self.linear.imbalance(answer.values) > _WHOLE_UNITS:
            outcome = self.pricer.unbalanced(decision, answer, self.linear)
        else:
            outcome = self.pricer.outcome(decision, answer, self.linear)
            if outcome == NoPrices():
                answer, outcome = self._with_whole_flows(decision, answer)
        if not keep:
            return outcome, answer.welfare
        if isinstance(outcome, Outcome) and answer.welfare > self.found.welfare:
            self.found.outcome, self.found.welfare = outcome, answer.welfare
        if isinstance(outcome, NoPrices):
            self._refuted.append((decision, outcome, answer.welfare))
        self.found.tried[decision] = outcome, answer.welfare
        return outcome, answer.welfare

    def _with_whole_flows(
        self, decision: Decision, answer: Answer
    ) -> tuple[Answer, Outcome | NoPrices]:
        """Once more, where grades share links so that their best flows are fractions."""
        self.whole = self.whole or Model(self.layout, elastic=True).with_whole_flows()
        again = self.whole.decide(decision)
        if self.whole.imbalance(again.values) > _WHOLE_UNITS:
            return answer, NoPrices()
        return again, self.pricer.outcome(decision, again, self.whole)

    def cut(self, decision: Decision, why: NoPrices) -> Cut:
        """What must change for this decision's failure to go away."""
        if len(why.losers) and why.losers[0].block >= 0 and self._monotone:
            return self._loser_cut(decision, why.losers[0])
        touched = {node for d in why.losers + why.together for node, _ in d.weights}
        return self._cut_of(decision, self._cells_of(touched))

    @property
    def _monotone(self) -> bool:
        """Whether more supply never raises a price: so in a network of one grade, with no
        minimum incomes that could take supply away."""
        return len(self.layout.problem.grades) == 1 or not self.layout.arcs

    def _cells_of(self, nodes: Iterable[int]) -> set[int]:
        return {self.layout.cell_of[node] for node in nodes}

    def _loser_cut(self, decision: Decision, loser: Demand) -> Cut:
        """A seller that loses at the highest prices loses as long as no accepted seller leaves
        and no rejected buyer comes in its cells; a buyer likewise."""
        sign = self.layout.blocks[loser.block].sign
        cells = self._cells_of(node for node, _ in loser.weights)
        absent, present = self._literals(decision, cells)
        cut = Cut(
            tuple(x for x in absent if x.block < 0 or self.layout.blocks[x.block].sign == sign),
            tuple(x for x in present if x.block < 0 or self.layout.blocks[x.block].sign != sign),
        )
        return cut if self.layout.incomes else self._lifted(cut, decision, loser.block)

    def _lifted(self, cut: Cut, decision: Decision, loser: int) -> Cut:
        """The cut without what the loser would lose without as well.

        Tried in halves: sellers leave and buyers come (for a losing buyer the other way round), as
        long as it still loses at its best prices. Others of the decision play no part: they stay.
        """
        needed = [x for x in cut.absent if x.block != loser] + list(cut.present)
        lots = list(decision.lots)
        size = len(needed)
        while size and needed and self.left() > 0:
            for start in range(0, len(needed), size):
                group = needed[start : start + size]
                tried = list(lots)
                for x in group:
                    gone = x in cut.absent
                    tried[x.block] = 0 if gone else self.layout.blocks[x.block].lots
                if self._loses(loser, Decision(tuple(tried), decision.refused)):
                    lots = tried
                    needed = [x for x in needed if x not in group]
                    break
            else:
                size //= 2
        return Cut(
            tuple(x for x in cut.absent if x.block == loser or x in needed),
            tuple(x for x in cut.present if x in needed),
        )

    def _loses(self, block: int, decision: Decision) -> bool:
        """Whether a block loses at its best prices, in a decision that need not be allowed."""
        outcome, _ = self.consider(decision, keep=False)
        return isinstance(outcome, NoPrices) and any(d.block == block for d in outcome.losers)

    def _cut_of(self, decision: Decision, cells: set[int]) -> Cut:
        absent, present = self._literals(decision, cells)
        return Cut(tuple(absent), tuple(present))

    def _literals(self, decision: Decision, cells: set[int]) -> tuple[list[Literal], list[Literal]]:
        """What holds and what does not in a decision about the cells; about all of them if none.

        A link that grades share ties their cells of a slot, so all of the slot count.
        """
        layout = self.layout
        if not self._monotone:
            slots = {layout.nodes[layout.cells[c].nodes[0]].slot for c in cells}
            cells = {
                i for i, c in enumerate(layout.cells) if layout.nodes[c.nodes[0]].slot in slots
            }
        absent: list[Literal] = []
        present: list[Literal] = []
        for i, (placed, lots) in enumerate(zip(layout.blocks, decision.lots, strict=True)):
            if cells and not any(layout.cell_of[node] in cells for node, _ in placed.parts):
                continue
            if lots:
                absent.append(Literal(i, lots))
            if lots < placed.lots:
                present.append(Literal(i, max(lots + 1, placed.least_lots)))
        for i in range(len(layout.incomes)):
            literal = Literal(-1, income=i)
            (present if i in decision.refused else absent).append(literal)
        return absent, present
