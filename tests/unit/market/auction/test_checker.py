"""The checker refuses every kind of falsified certificate."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from fractions import Fraction

import pytest

from exchange.market.auction.checker import check, main
from exchange.market.auction.clearing import clear
from exchange.market.auction.problem import MinimumIncome
from tests.unit.market.auction.words import auction, block, buy, link, papers, sell


@pytest.fixture(scope="module")
def good():
    """A certificate with something of everything in it."""
    problem = auction(
        buy("d1", 60, 100, "b"),
        buy("d2", 20, 95, "a"),
        buy("d3", 20, 5, "a"),
        sell("s1", 30, 20, "a"),
        sell("s2", 60, 30, "a"),
        sell("s3", 30, 80, "b"),
        sell("s4", 10, 80, "b"),
        sell("s5", 20, 80, "b"),
        block("in", "sell", 25, {0: 10}, "a"),
        block("child", "sell", 28, {0: 4}, "a", parent="in"),
        block("cut", "buy", 90, {0: 4}, "b", least=Fraction(1, 2)),
        block("out", "sell", 200, {0: 6}, "b"),
        link("a", "b", 40, 2),
        zones=("a", "b"),
        incomes=(
            MinimumIncome("met", ("s1",), 10**6),
            MinimumIncome("unmet", ("s4",), 10**12),
        ),
    )
    return papers(problem, clear(problem))


def row(said, kind, **keys):
    return next(r for r in said[kind] if all(r[k] == v for k, v in keys.items()))


def units_of(said, id_, change):
    row(said, "steps", id=id_)["units"] += change


def set_in(said, kind, id_, **values):
    row(said, kind, id=id_).update(values)


def price_in(said, zone, change):
    row(said, "prices", zone=zone)["price_micro"] += change


FALSIFIED = {
    "another_problem": lambda c: c.update(problem_sha256="0" * 64),
    "unknown": lambda c: c["steps"].append({"id": "nobody", "units": 1}),
    "named_twice": lambda c: c["steps"].append(dict(c["steps"][0])),
    "not_answered": lambda c: c["blocks"].pop(),
    "no_price": lambda c: c["prices"].pop(),
    "price_out_of_range": lambda c: price_in(c, "a", -(10**9)),
    "step_beyond_its_units": lambda c: units_of(c, "s1", 1),
    "step_at_a_loss": lambda c: c["steps"].append({"id": "d3", "units": 1}),
    "step_in_the_money_not_filled": lambda c: units_of(c, "d2", -1),
    "step_of_a_refused_income": lambda c: c["steps"].append({"id": "s4", "units": 1}),
    "not_shared_pro_rata": lambda c: [units_of(c, "s3", -1), units_of(c, "s5", 1)],
    "block_beyond_its_ratio": lambda c: set_in(c, "blocks", "cut", lots=1),
    "block_without_its_parent": lambda c: set_in(c, "blocks", "in", lots=0),
    "block_at_a_loss": lambda c: set_in(c, "blocks", "out", lots=6),
    "block_misdescribed": lambda c: set_in(c, "blocks", "in", forgone_micro=1),
    "income_below_its_minimum": lambda c: price_in(c, "a", -29_999_999),
    "income_misdescribed": lambda c: set_in(c, "minimum_incomes", "met", income_micro=1),
    "flow_beyond_its_limit": lambda c: c["flows"][0].update(units=41),
    "flow_without_a_link": lambda c: c["flows"][0].update(slot=7),
    "flow_at_a_loss": lambda c: c["flows"][0].update(units=-1),
    "price_difference_with_room_left": lambda c: c["flows"][0].update(units=39),
    "flow_misdescribed": lambda c: c["flows"][0].update(rent_micro=0),
    "unbalanced": lambda c: units_of(c, "s3", -1),
    "money_does_not_add_up": lambda c: units_of(c, "d1", -1),
    "totals_misstated": lambda c: c["totals"].update(rent_micro=0),
    "objective_misstated": lambda c: c.update(objective_micro=c["objective_micro"] + 1),
    "bound_below_the_objective": lambda c: c.update(bound_micro=c["objective_micro"] - 1),
    "gap_misstated": lambda c: c.update(gap=0.5),
}


@pytest.mark.parametrize("rule", FALSIFIED)
def test_a_falsified_certificate_is_refused(good, rule):
    problem, said = copy.deepcopy(good)
    assert check(problem, said) == []
    FALSIFIED[rule](said)
    assert rule in {finding.rule for finding in check(problem, said)}


def test_it_runs_as_a_program_on_two_files(good, tmp_path, capsys):
    problem, said = copy.deepcopy(good)
    names = [str(tmp_path / name) for name in ("problem.json", "certificate.json")]
    for name, document in zip(names, (problem, said), strict=True):
        with open(name, "w", encoding="utf-8") as file:
            json.dump(document, file)
    assert main(names) == 0
    said["objective_micro"] += 1
    with open(names[1], "w", encoding="utf-8") as file:
        json.dump(said, file)
    assert main(names) == 1
    assert "objective_misstated" in capsys.readouterr().out
    assert main(names[:1]) == 2
    assert main([names[0], str(tmp_path / "none.json")]) == 2


def test_it_needs_neither_solver_nor_django():
    script = (
        "import sys, exchange.market.auction.checker as c;"
        "bad = {m.partition('.')[0] for m in sys.modules} & {'highspy', 'numpy', 'django'};"
        "sys.exit(str(bad) if bad else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
