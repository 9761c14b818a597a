"""Good decisions quickly: dives into the linear relaxation, repairs, and exchanges of blocks.

None of this proves anything; it is where the search gets its first decisions from, and its best
ones where markets are too thin for a proof in time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import Final

from exchange.market.auction.layout import Layout
from exchange.market.auction.pricing import Demand, NoPrices, Outcome
from exchange.market.auction.relaxation import Answer, Decision, Model

_CHAIN: Final = 12  # blocks taken out after one was put in, before it is given up
_WHOLE: Final = 1e-6
_GAIN: Final = 1e-9  # a share of welfare; less is the solver's noise
_BOLD: Final = 0.7  # of dives
_NOBODY: Final = 1 << 30  # a block that is none: all may be taken out

Considered = tuple[Outcome | NoPrices, float]
"""What became of a decision, and its welfare in yuan."""


class Improver:
    """Works on one layout with the search's `consider`, which keeps whatever is best."""

    def __init__(
        self,
        layout: Layout,
        linear: Model,
        consider: Callable[[Decision], Considered],
        left: Callable[[], float],
    ) -> None:
        self.layout, self.linear = layout, linear
        self.consider, self.left = consider, left
        self.root: Answer | None = None  # the relaxation of a dive from nothing
        self.random = Random(0)  # noqa: S311 - draws neighbourhoods, the same in every run
        self._children: dict[int, list[int]] = {}
        for i, placed in enumerate(layout.blocks):
            self._children.setdefault(placed.parent, []).append(i)

    def dive(
        self, fixed: Mapping[int, float] | None = None, *, bold: bool
    ) -> tuple[Decision, float]:
        """Decide one fractional block or income after another; also the first welfare.

        A block that the relaxation takes wholly, unforced, gains at its prices: refusing what is
        fractional never makes anybody lose. A bold dive accepts what is nearer to that; it comes
        out with more welfare, and with some at a loss.
        """
        fixed = dict(fixed or {})
        answer = self.linear.relax(fixed)
        bound = answer.welfare
        if not fixed:
            self.root = answer
        while self.left() > 0:
            yes = self.linear.yes_of(answer.values)
            open_ = [i for i in range(len(yes)) if _WHOLE < yes[i] < 1 - _WHOLE]
            if not open_:
                break
            least = self.random.uniform(0.4, 0.8) if bold else 2.0
            near = sorted(open_, key=lambda i: (min(yes[i], (1 - yes[i]) if bold else 1.0), i))
            for i in near[: max(1, len(near) // 4)]:
                self._fix(fixed, i, float(yes[i] >= least))
            answer = self.linear.relax(fixed)
        return self._closed(self.linear.decision_of(answer.values)), bound

    def exchange(self, decision: Decision, welfare: float, *, until: float) -> None:
        """Free the blocks of a neighbourhood of the best decision and dive again, over and over.

        Ends at `until` (seconds left), or when it has gained nothing for as many turns in a row as
        there are blocks, within bounds.
        """
        blocks = range(len(self.layout.blocks))
        idle, most = 0, min(max(len(self.layout.blocks), 20), 400)
        while idle < most and self.left() > until:
            free = self._neighbourhood()
            fixed: dict[int, float] = {}
            for i in blocks:
                if i not in free:
                    self._fix(fixed, i, float(decision.lots[i] > 0))
            for i in range(len(self.layout.incomes)):
                fixed[len(blocks) + i] = float(i not in decision.refused)
            tried, reach = self.dive(fixed, bold=self.random.random() < _BOLD)
            idle += 1
            if reach <= welfare + _GAIN * abs(welfare):
                continue
            tried, (outcome, gained) = self.repair(tried, keep=_NOBODY)
            if isinstance(outcome, Outcome) and gained > welfare + _GAIN * abs(welfare):
                decision, welfare, idle = tried, gained, 0

    def _neighbourhood(self) -> set[int]:
        """Blocks near one drawn at random: those that share most slots and its grade, some more."""
        blocks = self.layout.blocks
        centre = blocks[self.random.randrange(len(blocks))].block
        slots = {slot for slot, _ in centre.units_by_slot}

        def distance(i: int) -> float:
            other = blocks[i].block
            shared = sum(slot in slots for slot, _ in other.units_by_slot)
            near = shared * (2 if other.grade == centre.grade else 1)
            return -near * self.random.uniform(0.5, 1.0)

        size = self.random.randint(4, max(8, min(60, len(blocks) // 3)))
        return set(sorted(range(len(blocks)), key=distance)[:size])

    def _fix(self, fixed: dict[int, float], place: int, value: float) -> None:
        """Fix one, and what follows from it: a parent's no for its children, a child's yes for
        its parents."""
        waiting = [place]
        while waiting:
            at = waiting.pop()
            fixed[at] = value
            if at < len(self.layout.blocks):
                parent = self.layout.blocks[at].parent
                family = self._children.get(at, []) if not value else [parent]
                waiting += [i for i in family if i >= 0 and fixed.get(i) != value]

    def repair(self, decision: Decision, *, keep: int = -1) -> tuple[Decision, Considered]:
        """Take out who loses, the worst first, until prices exist (or nothing can be done)."""
        considered = self.consider(decision)
        for _ in range(_CHAIN if keep >= 0 else len(self.layout.blocks) + 1):
            why = considered[0]
            if isinstance(why, Outcome) or self.left() <= 0:
                break
            losing = [d for d in why.losers or why.together if d.block != keep or keep < 0]
            if losing:
                decision = self.without(decision, losing[0])
            elif keep < 0 and any(decision.lots):
                decision = self._without_block(decision, self._smallest(decision))
            else:
                break
            considered = self.consider(decision)
        return decision, considered

    def improve(self, decision: Decision, considered: Considered) -> Decision:
        """Put in rejected blocks that would gain, and take out who then loses, while it gains."""
        moved = True
        while moved and self.left() > 0:
            moved = False
            outcome, welfare = considered
            if not isinstance(outcome, Outcome):
                return decision
            for i in self._wishes(outcome):
                if self.left() <= 0:
                    return decision
                tried, seen = self.repair(self._with(decision, i), keep=i)
                if isinstance(seen[0], Outcome) and seen[1] > welfare + 1e-9 * abs(welfare):
                    decision, considered, moved = tried, seen, True
                    break
        return decision

    def nothing(self) -> Decision:
        """No block and no minimum income accepted."""
        return Decision((0,) * len(self.layout.blocks), frozenset(range(len(self.layout.incomes))))

    def without(self, decision: Decision, demand: Demand) -> Decision:
        """The decision without the demand's block (and what depends on it) or income."""
        if demand.block < 0:
            return Decision(decision.lots, decision.refused | {demand.income})
        return self._without_block(decision, demand.block)

    def _smallest(self, decision: Decision) -> int:
        """The accepted block with the fewest unit-hours."""
        accepted = [i for i, lots in enumerate(decision.lots) if lots]
        return min(accepted, key=lambda i: (self.layout.blocks[i].block.unit_hours, i))

    def _without_block(self, decision: Decision, block: int) -> Decision:
        lots = list(decision.lots)
        out = [block]
        while out:
            gone = out.pop()
            lots[gone] = 0
            out += self._children.get(gone, [])
        return Decision(tuple(lots), decision.refused)

    def _with(self, decision: Decision, block: int) -> Decision:
        lots = list(decision.lots)
        while block >= 0:
            lots[block] = self.layout.blocks[block].lots
            block = self.layout.blocks[block].parent
            if block >= 0 and lots[block]:
                break
        return Decision(tuple(lots), decision.refused)

    def _closed(self, decision: Decision) -> Decision:
        """Lots within what each block allows, and no child without its parent."""
        lots = [
            min(max(k, b.least_lots), b.lots) if k else 0
            for k, b in zip(decision.lots, self.layout.blocks, strict=True)
        ]
        changed = True
        while changed:
            changed = False
            for i, placed in enumerate(self.layout.blocks):
                if lots[i] and placed.parent >= 0 and not lots[placed.parent]:
                    lots[i], changed = 0, True
        return Decision(tuple(lots), decision.refused)

    def _wishes(self, outcome: Outcome) -> Iterator[int]:
        """Blocks not wholly accepted that would gain at the outcome's prices, the most first."""
        gains: list[tuple[int, int]] = []
        for i, (placed, lots) in enumerate(
            zip(self.layout.blocks, outcome.decision.lots, strict=True)
        ):
            if lots < placed.lots:
                gain = placed.sign * sum(
                    units * ((outcome.prices[node] or 0) - placed.block.price_micro)
                    for node, units in placed.parts
                )
                if gain > 0:
                    gains.append((-gain * (placed.lots - lots), i))
        return (i for _, i in sorted(gains))
