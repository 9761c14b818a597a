"""The call auction: whole clearings beside the solver's own time, and against a plain MILP.

Auctions are made (`auction_problems`): 8 zones, 24 slots, 5 grades.

- `market.auction`: seconds of a whole clearing (20,000 steps, 500 blocks, to a gap of 0.1 %, in at
  most 60 s) against those that HiGHS took of them. Every result must pass the checker.
- `market.auction_gap`: the gap it ended with, against the 0.1 % that are asked for.
- `market.auction_memory`: the most memory of this process by then, in MB.
- `market.auction_vs_milp`: the same clearing against the textbook's mixed-integer programme of the
  same problem (welfare alone, no prices, nobody kept from a loss) in the same solver to the same
  gap.
- `market.auction_growth`: seconds with 30 zones and 96 slots, the same orders, against 8 and 24.
- `market.auction_thin`: 2,000 steps and 200 blocks, 60 s, five draws: welfare against the certified
  bound.
"""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from itertools import cycle

from exchange.market.auction.certificate import certificate
from exchange.market.auction.checker import check
from exchange.market.auction.clearing import clear
from exchange.market.auction.layout import lay_out
from exchange.market.auction.problem import Problem
from exchange.market.auction.relaxation import Model
from exchange.market.auction.result import Result
from tests.bench.auction_problems import made
from tests.bench.contest import Contest, Stage

GAP = 0.001
SECONDS = 60.0


class _Cleared:
    """Clears problems in turn; keeps the last result for the other side of the contest."""

    def __init__(self, *problems: Problem) -> None:
        self._problems = cycle(problems)
        self._last: Result | None = None

    def again(self) -> Result:
        """The next problem's result, checked."""
        problem = next(self._problems)
        result = clear(problem, time_limit_s=SECONDS, gap=GAP)
        findings = check(problem.as_json(), certificate(result))
        if findings:
            raise AssertionError(f"the checker refuses the result: {findings[:3]}")
        self._last = result
        return result

    def value(self, say: Callable[[Result], float]) -> Callable[[], float]:
        """A figure of a new result."""
        return lambda: say(self.again())

    def beside(self, say: Callable[[Result], float]) -> Callable[[], float]:
        """A figure of the last result (of a new one, where there is none)."""
        return lambda: say(self._last or self.again())


def contests(stage: Stage) -> Iterator[Contest]:
    """All contests of the auction."""
    steps, blocks = stage.size(20_000, 500), stage.size(500, 20)
    large = made(seed=1, zones=8, slots=24, grades=5, steps=steps, blocks=blocks)
    yield from _large(large)
    wide = made(seed=1, zones=30, slots=96, grades=5, steps=steps, blocks=blocks)
    yield Contest(
        name="market.auction_growth",
        measure="seconds of a clearing with 30 zones and 96 slots, same orders as with 8 and 24",
        unit="s",
        better="lower",
        run=_Cleared(wide).value(_seconds),
        reference=_Cleared(large).value(_seconds),
        rounds=1,
    )
    size = {"steps": stage.size(2_000, 100), "blocks": stage.size(200, 10)}
    draws = [made(seed=i, zones=8, slots=24, grades=5, **size) for i in range(1, 6)]
    # In every second round the reference goes first, so each side clears by itself.
    yield Contest(
        name="market.auction_thin",
        measure="welfare of a thin auction in 60 s, against the bound of the same certificate",
        unit="yuan",
        better="higher",
        run=(thin := _Paired(draws)).welfare,
        reference=thin.bound,
    )


class _Paired:
    """Welfare and bound of the same result, whichever is asked for first."""

    def __init__(self, draws: list[Problem]) -> None:
        self._cleared = _Cleared(*draws)
        self._waiting: dict[str, float] = {}

    def welfare(self) -> float:
        """Welfare of a draw, in yuan."""
        return self._one("welfare")

    def bound(self) -> float:
        """Its bound, in yuan."""
        return self._one("bound")

    def _one(self, which: str) -> float:
        if which not in self._waiting:
            result = self._cleared.again()
            self._waiting = {
                "welfare": result.objective_micro / 1e6,
                "bound": result.bound_micro / 1e6,
            }
        return self._waiting.pop(which)


def _large(problem: Problem) -> Iterator[Contest]:
    cleared = _Cleared(problem)
    yield Contest(
        name="market.auction",
        measure="seconds of a whole clearing, against those in the solver",
        unit="s",
        better="lower",
        run=cleared.value(_seconds),
        reference=cleared.beside(lambda result: result.solver_seconds),
        rounds=3,
    )
    yield Contest(
        name="market.auction_gap",
        measure="gap of the certificate within 60 s, against 0.1 %",
        unit="share",
        better="lower",
        run=cleared.beside(lambda result: result.gap),
        reference=lambda: GAP,
        rounds=1,
    )
    yield Contest(
        name="market.auction_memory",
        measure="most memory of the process that cleared",
        unit="MB",
        better="lower",
        run=lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        reference=lambda: 1.0,
        rounds=1,
    )
    yield Contest(
        name="market.auction_vs_milp",
        measure="seconds of a whole clearing, against a plain MILP to the same gap",
        unit="s",
        better="lower",
        run=cleared.value(_seconds),
        reference=lambda: _plain_milp_seconds(problem),
        rounds=1,
    )


def _seconds(result: Result) -> float:
    return result.seconds


def _plain_milp_seconds(problem: Problem) -> float:
    model = Model(lay_out(problem)).as_integer()
    model.search(seconds=4 * SECONDS, relative_gap=GAP)
    return model.seconds
