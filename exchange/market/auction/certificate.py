"""A result as plain JSON: what anybody needs to check it against the problem (`checker`)."""

from __future__ import annotations

from typing import Any, Final

from exchange.market.auction.result import Result

VERSION: Final = 1


def certificate(result: Result) -> dict[str, Any]:
    """The certificate of a result; it names its problem by SHA-256."""
    return {
        "version": VERSION,
        "problem_sha256": result.problem_digest,
        "method": result.method.value,
        "note": result.note,
        "solver": result.solver,
        "seconds": round(result.seconds, 3),
        "solver_seconds": round(result.solver_seconds, 3),
        "objective_micro": result.objective_micro,
        "bound_micro": result.bound_micro,
        "gap": result.gap,
        "totals": {
            "payments_micro": result.totals.payments_micro,
            "receipts_micro": result.totals.receipts_micro,
            "transport_micro": result.totals.transport_micro,
            "rent_micro": result.totals.rent_micro,
        },
        "prices": [
            {"grade": n.grade, "zone": n.zone, "slot": n.slot, "price_micro": price}
            for n, price in result.prices_micro.items()
        ],
        "steps": [{"id": id_, "units": u} for id_, u in result.step_units.items() if u],
        "blocks": [
            {
                "id": block.id,
                "lots": block.lots,
                "units_by_slot": [list(pair) for pair in block.units_by_slot],
                "surplus_micro": block.surplus_micro,
                "forgone_micro": block.forgone_micro,
                "reason": None if block.reason is None else block.reason.value,
            }
            for block in result.blocks
        ],
        "minimum_incomes": [
            {
                "id": income.id,
                "accepted": income.accepted,
                "income_micro": income.income_micro,
                "least_micro": income.least_micro,
            }
            for income in result.incomes
        ],
        "flows": [
            {
                "link": flow.link,
                "grade": flow.grade,
                "slot": flow.slot,
                "units": flow.units,
                "transport_micro": flow.transport_micro,
                "rent_micro": flow.rent_micro,
            }
            for flow in result.flows
        ],
    }
