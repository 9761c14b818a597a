"""Checks an auction's certificate against its problem; shares no code with what made it.

    python -m exchange.market.auction.checker problem.json certificate.json

Needs nothing but Python. What it proves: that everything accepted is within limits and balances;
that steps, blocks, incomes and links have what the prices say; that nobody accepted is at a loss;
that the money adds up; and so that, with the blocks decided as they are, there is no more welfare
in any grade. That the blocks are decided best is what the bound says: it is the solver's word.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import gcd
from pathlib import Path
from typing import Any

Json = Mapping[str, Any]
Place = tuple[str, str, int]
"""Grade, zone, slot."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that does not hold."""

    rule: str
    where: str

    def __str__(self) -> str:
        """For people."""
        return f"{self.rule}: {self.where}"


def check(problem: Json, certificate: Json) -> list[Finding]:
    """All that does not hold; empty for a good certificate."""
    text = json.dumps(problem, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    if hashlib.sha256(text.encode()).hexdigest() != certificate["problem_sha256"]:
        return [Finding("another_problem", "the certificate names a problem with another SHA-256")]
    return list(_Check(problem, certificate).findings())


class _Check:
    def __init__(self, problem: Json, certificate: Json) -> None:
        self.problem, self.said = problem, certificate
        self.prices: dict[Place, int] = {
            (row["grade"], row["zone"], row["slot"]): row["price_micro"]
            for row in certificate["prices"]
        }
        self.steps: dict[str, Json] = {row["id"]: row for row in problem["steps"]}
        self.blocks: dict[str, Json] = {row["id"]: row for row in problem["blocks"]}
        self.links: dict[str, Json] = {row["id"]: row for row in problem["links"]}
        self.units: dict[str, int] = {row["id"]: row["units"] for row in certificate["steps"]}
        self.lots: dict[str, int] = {row["id"]: row["lots"] for row in certificate["blocks"]}
        self.refused: set[str] = {
            step
            for row, income in self._incomes()
            if not row["accepted"]
            for step in income["step_ids"]
        }
        self.supply: defaultdict[Place, int] = defaultdict(int)
        self.payments = self.receipts = self.transport = self.rent = self.value = 0

    def findings(self) -> Iterator[Finding]:
        unknown = list(self._names())
        if unknown:
            yield from unknown
            return
        yield from self._price_limits()
        yield from self._steps()
        yield from self._shares()
        yield from self._blocks()
        yield from self._minimum_incomes()
        yield from self._flows()
        for place, units in self.supply.items():
            if units:
                yield Finding("unbalanced", f"{place}: {units:+d} units")
        yield from self._money()

    def _names(self) -> Iterator[Finding]:
        """Ids are those of the problem, each once."""
        for kind, known, whole in (
            ("steps", self.steps, False),
            ("blocks", self.blocks, True),
            ("minimum_incomes", {r["id"]: r for r in self.problem["minimum_incomes"]}, True),
        ):
            ids = [row["id"] for row in self.said[kind]]
            if len(set(ids)) < len(ids):
                yield Finding("named_twice", kind)
            yield from (Finding("unknown", f"{kind} {i}") for i in set(ids) - known.keys())
            if whole:
                yield from (Finding("not_answered", f"{kind} {i}") for i in known.keys() - set(ids))
        orders = [(row, (row["slot"],)) for row in self.problem["steps"]]
        orders += [(r, tuple(slot for slot, _ in r["units_by_slot"])) for r in self.blocks.values()]
        for row, slots in orders:
            for slot in slots:
                if (row["grade"], row["zone"], slot) not in self.prices:
                    yield Finding("no_price", f"{row['grade']} {row['zone']} {slot}")
        if len(self.prices) < len(self.said["prices"]):
            yield Finding("named_twice", "prices")

    def _price_limits(self) -> Iterator[Finding]:
        low, high = self.problem["lowest_price_micro"], self.problem["highest_price_micro"]
        for place, price in self.prices.items():
            if not isinstance(price, int) or not low <= price <= high:
                yield Finding("price_out_of_range", str(place))

    def _steps(self) -> Iterator[Finding]:
        for id_, step in self.steps.items():
            units = self.units.get(id_, 0)
            price = self.prices[step["grade"], step["zone"], step["slot"]]
            if not isinstance(units, int) or not 0 <= units <= step["units"]:
                yield Finding("step_beyond_its_units", id_)
            gain = (price - step["price_micro"]) * (1 if step["side"] == "sell" else -1)
            if gain < 0 < units:
                yield Finding("step_at_a_loss", id_)
            if id_ in self.refused:
                if units:
                    yield Finding("step_of_a_refused_income", id_)
            elif gain > 0 and units < step["units"]:
                yield Finding("step_in_the_money_not_filled", id_)
            self._trade(step, step["slot"], units)

    def _shares(self) -> Iterator[Finding]:
        """Steps at the price: pro rata, largest remainder, then smaller id; both sides traded."""
        at: defaultdict[Place, dict[str, list[str]]] = defaultdict(lambda: {"buy": [], "sell": []})
        for id_ in sorted(self.steps.keys() - self.refused):
            step = self.steps[id_]
            place = step["grade"], step["zone"], step["slot"]
            if step["price_micro"] == self.prices[place]:
                at[place][step["side"]].append(id_)
        for place, sides in at.items():
            idle = 0
            for ids in sides.values():
                wishes = [self.steps[i]["units"] for i in ids]
                given = [self.units.get(i, 0) for i in ids]
                total, units = sum(wishes), sum(given)
                idle += bool(total > units)
                if total:
                    fair = [units * wish // total for wish in wishes]
                    order = sorted(range(len(ids)), key=lambda k: (-(units * wishes[k] % total), k))
                    for k in order[: units - sum(fair)]:
                        fair[k] += 1
                    if fair != given:
                        yield Finding("not_shared_pro_rata", f"{place}: {ids}")
            if idle == 2:
                yield Finding("volume_left_at_the_price", str(place))

    def _blocks(self) -> Iterator[Finding]:
        for row in self.said["blocks"]:
            id_, lots, block = row["id"], row["lots"], self.blocks[row["id"]]
            whole = gcd(*(units for _, units in block["units_by_slot"]))
            share, of = block["least_ratio"]
            in_range = isinstance(lots, int) and share * whole <= lots * of and lots <= whole
            if lots != 0 and not in_range:
                yield Finding("block_beyond_its_ratio", id_)
            parent = block["parent"]
            if lots and parent is not None and not self.lots[parent]:
                yield Finding("block_without_its_parent", id_)
            gain = 0
            for slot, units in block["units_by_slot"]:
                price = self.prices[block["grade"], block["zone"], slot]
                gain += units // whole * (price - block["price_micro"])
                self._trade(block, slot, units // whole * lots)
            gain *= 1 if block["side"] == "sell" else -1
            if lots and gain < 0:
                yield Finding("block_at_a_loss", id_)
            parent_in = parent is None or self.lots[parent] > 0
            reason = None
            if lots < whole:
                reason = "out_of_the_money"
                if gain > 0:
                    reason = "paradoxical" if parent_in else "parent_rejected"
            expected = {
                "id": id_,
                "lots": lots,
                "units_by_slot": [[s, u // whole * lots] for s, u in block["units_by_slot"]],
                "surplus_micro": lots * gain,
                "forgone_micro": max((whole - lots) * gain, 0),
                "reason": reason,
            }
            if dict(row) != expected:
                yield Finding("block_misdescribed", id_)

    def _incomes(self) -> Iterator[tuple[Json, Json]]:
        known = {row["id"]: row for row in self.problem["minimum_incomes"]}
        for row in self.said["minimum_incomes"]:
            if row["id"] in known:
                yield row, known[row["id"]]

    def _minimum_incomes(self) -> Iterator[Finding]:
        for row, income in self._incomes():
            earned = units = 0
            for id_ in income["step_ids"]:
                step, accepted = self.steps[id_], self.units.get(id_, 0)
                earned += accepted * self.prices[step["grade"], step["zone"], step["slot"]]
                units += accepted
            least = income["fixed_micro"] + income["price_micro"] * units if units else 0
            if units and earned < least:
                yield Finding("income_below_its_minimum", row["id"])
            if row["income_micro"] != earned or row["least_micro"] != least:
                yield Finding("income_misdescribed", row["id"])

    def _flows(self) -> Iterator[Finding]:
        flows: dict[tuple[str, int], dict[str, int]] = defaultdict(dict)
        for row in self.said["flows"]:
            here = flows[row["link"], row["slot"]]
            if row["grade"] in here:
                yield Finding("named_twice", f"flow {row['link']} {row['slot']}")
            here[row["grade"]] = row["units"]
        for row in self.said["flows"]:
            yield from self._flow_money(row)
        for link in self.links.values():
            for slot, least, most in link["limits"]:
                here = flows.pop((link["id"], slot), {})
                yield from self._flow(link, slot, here, least, most)
        for name, slot in flows:
            yield Finding("flow_without_a_link", f"{name} {slot}")

    def _flow(
        self, link: Json, slot: int, units: Mapping[str, int], least: int, most: int
    ) -> Iterator[Finding]:
        where = f"{link['id']} {slot}"
        forward = sum(u for u in units.values() if u > 0)
        backward = -sum(u for u in units.values() if u < 0)
        if forward > most or backward > -least:
            yield Finding("flow_beyond_its_limit", where)
        for grade in self.problem["grades"]:
            from_price = self.prices.get((grade, link["from_zone"], slot))
            to_price = self.prices.get((grade, link["to_zone"], slot))
            if from_price is None or to_price is None:
                if (least or most) and from_price is not to_price:
                    yield Finding("no_price", f"one end of {where}")
                continue
            for sign, full in ((1, forward >= most), (-1, backward >= -least)):
                above = sign * (to_price - from_price) - link["price_micro"]
                if above < 0 < sign * units.get(grade, 0):
                    yield Finding("flow_at_a_loss", f"{where} {grade}")
                if above > 0 and not full:
                    yield Finding("price_difference_with_room_left", f"{where} {grade}")

    def _flow_money(self, row: Json) -> Iterator[Finding]:
        link = self.links.get(row["link"])
        if link is None:
            return  # said by _flows
        start = row["grade"], link["from_zone"], row["slot"]
        end = row["grade"], link["to_zone"], row["slot"]
        if start not in self.prices or end not in self.prices:
            yield Finding("no_price", f"flow {row['link']} {row['slot']}")
            return
        self.supply[start] -= row["units"]
        self.supply[end] += row["units"]
        transport = abs(row["units"]) * link["price_micro"]
        rent = row["units"] * (self.prices[end] - self.prices[start]) - transport
        self.transport += transport
        self.rent += rent
        if row["transport_micro"] != transport or row["rent_micro"] != rent or rent < 0:
            yield Finding("flow_misdescribed", f"{row['link']} {row['slot']} {row['grade']}")

    def _trade(self, order: Json, slot: int, units: int) -> None:
        place = order["grade"], order["zone"], slot
        money, value = units * self.prices[place], units * order["price_micro"]
        if order["side"] == "sell":
            self.supply[place] += units
            self.receipts += money
            self.value -= value
        else:
            self.supply[place] -= units
            self.payments += money
            self.value += value

    def _money(self) -> Iterator[Finding]:
        if self.payments != self.receipts + self.transport + self.rent:
            yield Finding("money_does_not_add_up", "payments = receipts + transport + rent")
        totals = {
            "payments_micro": self.payments,
            "receipts_micro": self.receipts,
            "transport_micro": self.transport,
            "rent_micro": self.rent,
        }
        if dict(self.said["totals"]) != totals:
            yield Finding("totals_misstated", str(totals))
        objective, bound = self.value - self.transport, self.said["bound_micro"]
        if self.said["objective_micro"] != objective:
            yield Finding("objective_misstated", str(objective))
        if bound < objective:
            yield Finding("bound_below_the_objective", str(bound))
        gap = 0.0 if bound <= objective else (bound - objective) / abs(bound)
        if abs(self.said["gap"] - gap) > 1e-12:
            yield Finding("gap_misstated", str(gap))


def main(arguments: list[str]) -> int:
    """Check two files; 0 where everything holds, 1 where not, 2 where they can not be read."""
    if len(arguments) != 2:
        sys.stderr.write("usage: checker problem.json certificate.json\n")
        return 2
    try:
        problem, certificate = (json.loads(Path(name).read_text("utf-8")) for name in arguments)
        findings = check(problem, certificate)
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        sys.stderr.write(f"unreadable: {error!r}\n")
        return 2
    for finding in findings:
        sys.stdout.write(f"{finding}\n")
    sys.stdout.write(f"{len(findings)} findings\n" if findings else "everything holds\n")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
