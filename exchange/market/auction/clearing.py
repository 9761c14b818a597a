"""Clears an auction: the way in. See docs/auction.md for the rules."""

from __future__ import annotations

import math
import time
from importlib.metadata import version
from typing import Final

from exchange.market.auction.answering import answer
from exchange.market.auction.fallback import by_plain_rule, plain_bound_micro
from exchange.market.auction.layout import lay_out
from exchange.market.auction.problem import Problem
from exchange.market.auction.relaxation import MICRO, SolverFailed
from exchange.market.auction.result import Method, Result
from exchange.market.auction.search import Found, Search
from exchange.market.auction.validation import validate

GAP: Final = 1e-6
SOLVER: Final = "HiGHS " + version("highspy")


_FLOAT_ERROR: Final = 1e-3  # of a micro-yuan per yuan: what the solver's bound may be off


class NoPricesExist(RuntimeError):
    """The auction's price limits leave none that fit, though orders keep them: links are too dear
    for them."""


def clear(problem: Problem, *, time_limit_s: float = 60.0, gap: float = GAP) -> Result:
    """Clear the auction: the most welfare with nobody accepted at a loss.

    Stops when no other decision can have more welfare by more than the share `gap`, or when
    `time_limit_s` is over; the result then says how far the bound is. Equal problems, in whatever
    order, give equal results, as long as time is not what ended the search.

    Raises ProblemRefused; NoPricesExist.
    """
    begun = time.perf_counter()
    validate(problem)
    layout = lay_out(problem)
    found, method, note = Found(), Method.FALLBACK, ""
    try:
        search = Search(layout, seconds=time_limit_s, gap=gap)
        found = search.found
        search.run()
        method = Method.OPTIMAL if found.proven else Method.TIME_LIMIT
    except SolverFailed as failure:
        note = str(failure)
    outcome = found.outcome
    if outcome is None:
        method = Method.FALLBACK
        outcome = by_plain_rule(layout, seconds=time_limit_s)
    if outcome is None:
        raise NoPricesExist
    answers = answer(layout, outcome)
    bound = plain_bound_micro(layout)
    if math.isfinite(found.bound):
        bound = min(bound, math.ceil(found.bound * MICRO + abs(found.bound) * _FLOAT_ERROR))
    bound = max(bound, answers.objective_micro)
    return Result(
        problem_digest=layout.problem.digest(),
        method=method,
        prices_micro=answers.prices_micro,
        step_units=answers.step_units,
        blocks=answers.blocks,
        incomes=answers.incomes,
        flows=answers.flows,
        totals=answers.totals,
        objective_micro=answers.objective_micro,
        bound_micro=bound,
        seconds=time.perf_counter() - begun,
        solver_seconds=found.solver_seconds,
        solver=SOLVER,
        note=note,
    )
