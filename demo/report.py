"""The summary on the screen, and `var/demo.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from rich.box import SIMPLE
from rich.table import Table

from demo.client import Timings
from demo.progress import Screen
from demo.readback import Books, Outcome
from demo.scenario import CLASSES
from demo.settlement import Settled
from demo.summary import (
    fill_rate,
    mean_price,
    percentile,
    price_to_limit,
    unit_hours_filled,
    unit_hours_filled_by_book,
    utilisation,
)

PLAN_UTILISATION: Final = 0.70
CLEAN: Final = "clean"
# What stands against a region's money at the bank: columns, and the kinds of accounts in each.
_OWED: Final = {
    "buyers' funds": ("available",),
    "to pay out": ("payable",),
    "kept": ("commission", "tax_payable", "rounding"),
    "clearing": ("clearing",),
}
# From here on the machine was too slow for its orders to arrive when the plan says.
_TOO_SLOW_S: Final = 10.0


@dataclass(kw_only=True)
class Report:
    """Everything that the demonstration found out."""

    orders: int
    outcome: Outcome
    settled: Settled
    books: Sequence[Books]
    verify: str  # "clean", or what does not hold
    admissions: str  # likewise: whether the pure engine makes the same trades of every log
    seconds_day: float
    seconds_total: float
    seconds_behind: float = 0.0
    refusals: Sequence[str] = ()
    timings: Mapping[str, Timings] = field(default_factory=dict)
    processor_seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def trial_balance(self) -> Decimal:
        """Debits less credits of all regions, each difference counted by its size."""
        return sum((abs(books.difference) for books in self.books), Decimal(0))

    @property
    def is_clean(self) -> bool:
        """Whether all verifies, trades follow from their logs, and every region's books balance."""
        proven = self.verify == self.admissions == CLEAN
        return proven and bool(self.books) and self.trial_balance == 0

    def as_json(self) -> dict[str, Any]:
        """As it stands in `var/demo.json`."""
        found, batch = self.outcome, self.settled.batch
        return {
            "orders": self.orders,
            "trades": len(found.trades),
            "fill_rate": round(fill_rate(found.asked), 4),
            "order_to_trade_p50_ms": round(percentile(found.latencies_ms, 0.50), 1),
            "order_to_trade_p99_ms": round(percentile(found.latencies_ms, 0.99), 1),
            "trial_balance": f"{self.trial_balance:.6f}",
            "verify": self.verify,
            "admissions": self.admissions,
            "utilisation_by_city": utilisation(found.supplies, by="city"),
            "seconds_day": round(self.seconds_day, 1),
            "seconds_total": round(self.seconds_total, 1),
            "utilisation_by_class": utilisation(found.supplies, by="resource_class"),
            "unit_hours_filled": round(unit_hours_filled(found.asked), 4),
            "unit_hours_filled_by_book": unit_hours_filled_by_book(found.asked),
            "mean_price_to_limit": round(price_to_limit(found.trades), 4),
            "mean_price_by_grade": {
                grade: f"{price:.6f}" for grade, price in mean_price(found.trades).items()
            },
            "charged": batch["charged"],
            "paid_out": batch["paid_out"],
            "kept": batch["kept"],
            "seconds_behind": round(self.seconds_behind, 1),
            "refused_requests": len(self.refusals),
            "refusals": list(self.refusals[:50]),
            "processor_seconds": dict(self.processor_seconds),
            "requests": {
                call: {
                    "count": timing.count,
                    "mean_ms": round(1000 * timing.seconds / timing.count, 1),
                    "slowest_ms": round(1000 * timing.slowest_s, 1),
                }
                for call, timing in sorted(self.timings.items())
            },
        }


def show(report: Report, screen: Screen) -> None:
    """The summary for people."""
    facts = report.as_json()
    screen.say("")
    screen.say(f"orders          {facts['orders']:,} {dict(report.outcome.states)}")
    screen.say(f"trades          {facts['trades']:,}")
    screen.say(
        f"filled          {facts['fill_rate']:.1%} of the orders, "
        f"{facts['unit_hours_filled']:.1%} of the unit-hours, "
        f"at {facts['mean_price_to_limit']:.1%} of the limits"
    )
    screen.say(
        f"order to trade  median {facts['order_to_trade_p50_ms']:.0f} ms, "
        f"p99 {facts['order_to_trade_p99_ms']:.0f} ms of wall time"
    )
    _show_utilisation(report, screen)
    _show_money(report, screen)
    screen.say(f"verify          {report.verify}")
    screen.say(f"admission logs  {report.admissions}")
    screen.say(
        f"time            the day {report.seconds_day:.0f} s, in all {report.seconds_total:.0f} s"
    )
    busy = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in _busiest(report))
    screen.say(f"processor time  {busy}")
    if report.seconds_behind > _TOO_SLOW_S:
        screen.say(
            f"too slow        orders were up to {report.seconds_behind:.0f} s behind the plan: "
            "this machine is slow or busy; SECONDS_PER_HOUR=8 gives the day more time"
        )
    if report.refusals:
        screen.say(f"refused         {len(report.refusals)} requests, the first:")
        for refusal in report.refusals[:5]:
            screen.say(f"                {refusal}")


def _busiest(report: Report) -> list[tuple[str, float]]:
    return [item for item in report.processor_seconds.items() if item[1] >= 0.5]


def _show_utilisation(report: Report, screen: Screen) -> None:
    supplies = report.outcome.supplies
    by_city = utilisation(supplies, by="city")
    table = Table(title="Utilisation (sold of registered; the plan aims at 70 %)")
    table.add_column("city")
    for name in (*CLASSES, "all"):
        table.add_column(name, justify="right")
    for city in sorted(by_city, key=lambda name: -by_city[name]):
        in_city = [supply for supply in supplies if supply.city == city]
        table.add_row(city, *_cells(utilisation(in_city, by="resource_class"), by_city[city]))
    whole = sum(supply.registered * supply.weight for supply in supplies)
    sold = sum(supply.sold * supply.weight for supply in supplies)
    overall = float(sold / whole) if whole else 0.0
    table.add_section()
    table.add_row("all cities", *_cells(utilisation(supplies, by="resource_class"), overall))
    screen.console.print(table)


def _cells(by_class: Mapping[str, float], overall: float) -> list[str]:
    shares = [by_class.get(name) for name in CLASSES]
    return ["" if share is None else _percent(share) for share in (*shares, overall)]


def _percent(share: float) -> str:
    return f"{share:.0%}" + (" *" if share >= PLAN_UTILISATION else "")


def _show_money(report: Report, screen: Screen) -> None:
    table = Table(title="Money by region, yuan: what is at the bank is accounted for", box=SIMPLE)
    table.add_column("region", no_wrap=True)
    for name in ("at the bank", *_OWED, "difference"):
        table.add_column(name, justify="right", no_wrap=True)
    for books in report.books:
        owed = [
            sum((books.by_code.get(kind, Decimal(0)) for kind in kinds), Decimal(0))
            for kinds in _OWED.values()
        ]
        amounts = [f"{amount:,.2f}" for amount in (books.by_code.get("bank", Decimal(0)), *owed)]
        table.add_row(books.region, *amounts, f"{books.difference:,.6f}")
    screen.console.print(table)
    batch = report.settled.batch
    screen.say(
        f"settled         charged {Decimal(batch['charged']):,.2f} = "
        f"paid out {Decimal(batch['paid_out']):,.2f} + kept {Decimal(batch['kept']):,.2f}; "
        f"{report.settled.payouts} payouts in {report.settled.payouts_file}"
    )
    screen.say(f"trial balance   {report.trial_balance:.6f}")
