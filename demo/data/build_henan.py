"""Write ``henan.json``, the demo's scenario: the province's plan in miniature, about 1 : 100.

Run it from the repository's root: ``python demo/data/build_henan.py``. Equal input gives an equal
file; there is no chance in it. Public facts are the cities, their roles and the device models (see
``exchange/topology/data`` and ``exchange/capacity/data``). Everything that bears a company's name
is invented, and prices are plausible, each with its reasoning beside it.
"""

from __future__ import annotations

import json
from decimal import ROUND_HALF_EVEN, Decimal
from math import log
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROWS: dict[str, Any] = json.loads((HERE / "henan_rows.json").read_text(encoding="utf-8"))
ANCHORS = ROWS["reference_prices"]
PROVIDERS, CARRIERS, BUYERS = ROWS["providers"], ROWS["carriers"], ROWS["buyers"]
CENTRES, CLASS_DEMAND = ROWS["centres"], ROWS["demand"]
CATALOGUE = HERE.parents[1] / "exchange" / "capacity" / "data"
REFERENCE_POWER_COST = Decimal("0.62") * Decimal("1.30")  # yuan for 1 kWh of compute at the anchor
HOURS_TO_UTC = 8  # Henan's clock is UTC+8; all profiles in the file are by UTC hour of the day
FOUR, TWO = Decimal("0.0001"), Decimal("0.01")


def main() -> None:
    """Build the scenario and write it, an object a line."""
    power = {
        name: _by_utc_hour(shape, FOUR) for name, shape in ROWS["power_price_by_local_hour"].items()
    }
    green = {
        name: _by_utc_hour(shape, FOUR) for name, shape in ROWS["green_shape_by_local_hour"].items()
    }
    centres = [_centre(row) for row in CENTRES]
    pools = [pool for row in CENTRES for pool in _pools(row, power)]
    scenario = {
        "about": "Henan's plan in miniature, about 1 : 100. Written by build_henan.py.",
        "invented": "Organisations, their credit codes, centres, pools, offers and demand.",
        "facts": "Cities, roles, hubs and device models; see the sources in the catalogues.",
        "green": "A centre's share in an hour is its own share x the shape's factor, at most 1.",
        "clock": "Arrays of 24 are by UTC hour of the day (index = slot % 24); Henan is UTC+8.",
        "offer_window": {"start_in_slots": 0, "window_slots": 72},
        "failure": {"centre": "luoyang-ai-2", "from_hour": 9, "hours": 4},
        "totals": _totals(centres, pools),
        "reference_prices": {grade: anchor["price"] for grade, anchor in ANCHORS.items()},
        "reference_price_reasoning": {g: anchor["why"] for g, anchor in ANCHORS.items()},
        "power_price_per_kwh": power,
        "green_share_shape": green,
        "demand": _demand(pools),
        "providers": [_organisation(row, i + 1) for i, row in enumerate(PROVIDERS)],
        "carriers": [_organisation(row, i + 41) for i, row in enumerate(CARRIERS)],
        "buyers": [_buyer(row, i + 61) for i, row in enumerate(BUYERS)],
        "centres": centres,
        "pools": pools,
    }
    (HERE / "henan.json").write_text(_readable(scenario), encoding="utf-8")


def credit_code(division: str, number: int) -> str:
    """An invented but valid unified social credit code (GB 32100-2015, inner GB 11714-1997).

    ``91`` is an enterprise; the organisation's part reads ``MA9DEM`` and two digits.
    """
    body = f"MA9DEM{number:02d}"
    alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    inner = 11 - sum(
        alphabet.index(c) * w for c, w in zip(body, (3, 7, 9, 10, 5, 8, 4, 2), strict=True)
    )
    body += "0X"[inner % 11 == 10] if inner % 11 in (0, 10) else str(inner % 11)
    code = f"91{division}{body}"
    symbols = "0123456789ABCDEFGHJKLMNPQRTUWXY"
    total = sum(symbols.index(c) * pow(3, i, 31) for i, c in enumerate(code))
    return code + symbols[-total % 31]


def _by_utc_hour(local_shape: list[str], step: Decimal) -> list[str]:
    turned = local_shape[HOURS_TO_UTC:] + local_shape[:HOURS_TO_UTC]
    return [str(Decimal(value).quantize(step)) for value in turned]


def _organisation(row: dict[str, Any], number: int) -> dict[str, Any]:
    code = credit_code(row["division"], number)
    return {**{k: v for k, v in row.items() if k != "division"}, "credit_code": code}


def _buyer(row: dict[str, Any], number: int) -> dict[str, Any]:
    return _organisation(row, number)


def _centre(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != "pools"}


def _pools(centre: dict[str, Any], power: dict[str, list[str]]) -> list[dict[str, Any]]:
    """The pools of a centre with an offer each; the offer's price says how it came about."""
    hours = [Decimal(price) for price in power[centre["power_profile"]]]
    mean = sum(hours, Decimal(0)) / 24
    margin = next(p["margin_percent"] for p in PROVIDERS if p["code"] == centre["provider"])
    built = []
    for position, (grade, units) in enumerate(centre["pools"].items(), start=1):
        anchor = ANCHORS[grade]
        kilowatt = Decimal(anchor["kilowatt"])
        pue = Decimal(centre["pue"])
        power_cost = kilowatt * (pue * mean - REFERENCE_POWER_COST)
        base = (Decimal(anchor["price"]) + power_cost) * (100 + margin) / 100
        by_hour = _sells_by_hour(grade, position)
        reclaimable = _is_reclaimable(grade, position)
        if reclaimable:
            base *= Decimal("0.60")
        prices = [base] * (24 if by_hour else 1)
        if by_hour:
            prices = [_at_hour(base, kilowatt * pue, hour, mean) for hour in hours]
        built.append(
            {
                "code": f"{centre['code']}-{position:02d}",
                "centre": centre["code"],
                "grade": grade,
                "units": units,
                "offer": {
                    "units": units,
                    "prices_per_unit_hour": [
                        str(p.quantize(FOUR, ROUND_HALF_EVEN)) for p in prices
                    ],
                    "min_duration_slots": 1,
                    "max_duration_slots": 48,
                    "min_chunk_units": 1,
                    "reclaimable": reclaimable,
                    "reclaim_notice_seconds": 1800 if reclaimable else None,
                },
                "price_reasoning": _reasoning(anchor, centre, mean, power_cost, margin)
                + (" x 0.60 since it may be reclaimed at 30 minutes' notice" if reclaimable else "")
                + (
                    "; by hour with the power tariff, a tenth less in its cheap hours"
                    if by_hour
                    else ""
                ),
            }
        )
    return built


def _sells_by_hour(grade: str, position: int) -> bool:
    return grade.startswith(("intelligent.", "super.")) and position % 3 == 2


def _is_reclaimable(grade: str, position: int) -> bool:
    return grade.startswith(("intelligent.", "general.")) and position % 5 == 4


def _at_hour(base: Decimal, kilowatt: Decimal, hour: Decimal, mean: Decimal) -> Decimal:
    price = base + kilowatt * (hour - mean)
    return price * Decimal("0.90") if hour < mean * Decimal("0.75") else price


def _reasoning(
    anchor: dict[str, str],
    centre: dict[str, Any],
    mean: Decimal,
    power_cost: Decimal,
    margin: int,
) -> str:
    return (
        f"anchor {anchor['price']}; {anchor['kilowatt']} kW x (PUE {centre['pue']} x "
        f"{mean.quantize(TWO)} - 1.30 x 0.62) = {power_cost.quantize(FOUR)}; "
        f"provider's margin {margin:+d} %"
    )


def _demand(pools: list[dict[str, Any]]) -> dict[str, Any]:
    """For each class what a day supplies and what its orders should ask for in all."""
    classes = {}
    for resource_class, row in CLASS_DEMAND.items():
        supply = 24 * sum(p["units"] for p in pools if p["grade"].startswith(resource_class + "."))
        wanted = int(supply * Decimal(row["share_of_supply"]))
        classes[resource_class] = {
            "orders": row["orders"],
            "supply_unit_hours": supply,
            "demand_unit_hours": wanted,
            "mean_unit_hours_per_order": str((Decimal(wanted) / row["orders"]).quantize(TWO)),
            "mean_unit_hours_of_wants": str(_mean_of_wants(resource_class).quantize(TWO)),
        }
    return {
        "reasoning": "The plan aims at 70 % utilisation of racks; orders for 78 to 84 % of a day's "
        "supply leave room for what limits and windows turn away.",
        "orders": sum(row["orders"] for row in CLASS_DEMAND.values()),
        "orders_by_local_hour": ROWS["orders_by_local_hour"],
        "classes": classes,
    }


def _mean_of_wants(resource_class: str) -> Decimal:
    """Unit-hours of a mean order where units and durations are drawn log-evenly, by weight."""
    wants = [w for b in BUYERS for w in b["wants"] if w["class"] == resource_class]
    total = sum(
        w["weight"] * _log_mean(*w["units"]) * _log_mean(*w["duration_slots"]) for w in wants
    )
    weights: int = sum(w["weight"] for w in wants)
    return Decimal(total) / weights


def _log_mean(low: int, high: int) -> float:
    return low if low == high else (high - low) / log(high / low)


def _totals(centres: list[dict[str, Any]], pools: list[dict[str, Any]]) -> dict[str, Any]:
    models = json.loads((CATALOGUE / "device_models.json").read_text())["device_models"]
    fp16 = {
        model["code"]: Decimal(figure["value"])
        for model in models
        for figure in model["figures"]
        if figure["quantity"] == "fp16_tflops"
    }
    intelligent = [p for p in pools if p["grade"].startswith("intelligent.")]
    tflops = sum(fp16[p["grade"].split(".")[1]] * p["units"] for p in intelligent)
    return {
        "providers": len(PROVIDERS),
        "buyers": len(BUYERS),
        "centres": len(centres),
        "pools": len(pools),
        "standard_racks": sum(c["standard_racks"] for c in centres),
        "intelligent_fp16_pflops": str((tflops / 1000).quantize(TWO)),
        "units_by_class": {
            c: sum(p["units"] for p in pools if p["grade"].startswith(c + "."))
            for c in CLASS_DEMAND
        },
    }


def _readable(scenario: dict[str, Any]) -> str:
    """JSON with one object a line, so that a change of one pool is a change of one line."""
    parts = []
    for key, value in scenario.items():
        if isinstance(value, list) or (isinstance(value, dict) and len(json.dumps(value)) > 90):
            rows = value.items() if isinstance(value, dict) else ((None, row) for row in value)
            lines = [
                "    "
                + (f"{json.dumps(name)}: " if name is not None else "")
                + json.dumps(row, ensure_ascii=False)
                for name, row in rows
            ]
            brackets = "{}" if isinstance(value, dict) else "[]"
            body = brackets[0] + "\n" + ",\n".join(lines) + "\n  " + brackets[1]
        else:
            body = json.dumps(value, ensure_ascii=False)
        parts.append(f"  {json.dumps(key)}: {body}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    main()
