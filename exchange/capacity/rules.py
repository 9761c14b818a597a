"""What makes the facts of a centre or a pool acceptable, stated once for single and bulk writes."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from core.errors import FieldProblem
from exchange.capacity.models import Centre, Grade, Pool
from exchange.capacity.states import REPORTED_HEALTH

if TYPE_CHECKING:
    from exchange.capacity.services import PoolReport

MAX_UNITS = 1_000_000
MAX_RACKS = 1_000_000
MAX_PRICE = Decimal(1_000_000)
_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class CentreTerms:
    """The facts of a centre: the provider's own code for it, where it is, what it is like."""

    code: str
    name: str
    region: str
    standard_racks: int
    pue: Decimal
    green_share: Decimal


@dataclass(frozen=True, slots=True)
class PoolTerms:
    """The facts of a pool: the provider's own code for it, its grade and its units."""

    code: str
    grade: str
    units: int


def problems_of_centre(centre: CentreTerms, *, regions: Collection[str]) -> list[FieldProblem]:
    """What is wrong with a centre; ``regions`` are the known codes of cities."""
    problems = _problems_of_code(centre.code)
    if not centre.name.strip() or len(centre.name) > 128:
        problems.append(FieldProblem("name", "has 1 to 128 characters", "give the centre a name"))
    if centre.region not in regions:
        problems.append(
            FieldProblem("region", "names a city of the region tree", "see GET /api/v1/regions")
        )
    if not 0 < centre.standard_racks <= MAX_RACKS:
        problems.append(
            FieldProblem("standard_racks", f"is 1 to {MAX_RACKS}", "count racks of 2.5 kW")
        )
    if not 1 <= centre.pue <= 5:
        problems.append(
            FieldProblem("pue", "is between 1 and 5", "give total power over power for computing")
        )
    if not 0 <= centre.green_share <= 1:
        problems.append(
            FieldProblem("green_share", "is between 0 and 1", "give 0.45 for 45 per cent")
        )
    return problems


def problems_of_pool(pool: PoolTerms, *, grades: Collection[str]) -> list[FieldProblem]:
    """What is wrong with a pool; ``grades`` are the known codes."""
    problems = _problems_of_code(pool.code)
    if pool.grade not in grades:
        problems.append(
            FieldProblem("grade", "names a grade of the catalogue", "see GET /api/v1/grades")
        )
    if not 0 < pool.units <= MAX_UNITS:
        problems.append(FieldProblem("units", f"is 1 to {MAX_UNITS}", "give a whole number"))
    return problems


def problems_of_change(pool: Pool, *, health: str | None) -> list[FieldProblem]:
    """What is wrong with the new values that a pool has been given."""
    problems = []
    if not 0 <= pool.units <= MAX_UNITS:
        problems.append(FieldProblem("units", f"is 0 to {MAX_UNITS}", "give a whole number"))
    if not 0 <= pool.available_units <= max(pool.units, 0):
        problems.append(
            FieldProblem(
                "available_units",
                f"is 0 to the {pool.units} registered units",
                "register more units first",
            )
        )
    if health is not None and health not in REPORTED_HEALTH:
        problems.append(
            FieldProblem("health", f"is one of {', '.join(REPORTED_HEALTH)}", "choose one")
        )
    return problems


def problems_of_reports(reports: Sequence[PoolReport], pools: Sequence[Pool]) -> list[FieldProblem]:
    """What is wrong with a heartbeat's reports on the pools of its centre."""
    by_code = {pool.code: pool for pool in pools}
    problems = []
    for position, report in enumerate(reports):
        where = f"pools.{position}"
        pool = by_code.get(report.code)
        if pool is None:
            problems.append(
                FieldProblem(
                    f"{where}.code", "names a pool of this centre", "register the pool first"
                )
            )
            continue
        if report.health not in REPORTED_HEALTH:
            problems.append(
                FieldProblem(
                    f"{where}.health", f"is one of {', '.join(REPORTED_HEALTH)}", "choose one"
                )
            )
        if report.available_units is not None and not 0 <= report.available_units <= pool.units:
            problems.append(
                FieldProblem(
                    f"{where}.available_units",
                    f"is 0 to the {pool.units} registered units",
                    "register more units first",
                )
            )
    return problems


def centre_row(centre: CentreTerms, *, provider_id: UUID, now: datetime) -> Centre:
    """The unsaved row of a new centre."""
    return Centre(
        provider_id=provider_id,
        region_id=centre.region,
        code=centre.code,
        name=centre.name,
        standard_racks=centre.standard_racks,
        pue=centre.pue,
        green_share=centre.green_share,
        created_at=now,
    )


def pool_row(pool: PoolTerms, *, centre_id: UUID, grade: Grade, now: datetime) -> Pool:
    """The unsaved row of a new pool."""
    return Pool(
        centre_id=centre_id,
        grade=grade,
        code=pool.code,
        units=pool.units,
        available_units=pool.units,
        created_at=now,
    )


def terms_of_centre(centre: Centre) -> CentreTerms:
    """The facts that a centre's row states."""
    return CentreTerms(
        code=centre.code,
        name=centre.name,
        region=centre.region_id,
        standard_racks=centre.standard_racks,
        pue=centre.pue,
        green_share=centre.green_share,
    )


def facts_of_centre(centre: Centre) -> dict[str, Any]:
    """What the audit chain keeps of a centre."""
    return {
        "code": centre.code,
        "name": centre.name,
        "region": centre.region_id,
        "standard_racks": centre.standard_racks,
        "pue": str(centre.pue),
        "green_share": str(centre.green_share),
    }


def facts_of_pool(pool: Pool) -> dict[str, Any]:
    """What the audit chain keeps of a pool."""
    return {
        "code": pool.code,
        "grade": pool.grade.code,
        "units": pool.units,
        "available_units": pool.available_units,
        "state": pool.state,
        "health": pool.health,
    }


def _problems_of_code(code: str) -> list[FieldProblem]:
    if _CODE.fullmatch(code):
        return []
    return [
        FieldProblem(
            "code",
            "has 1 to 64 letters, digits, dots, dashes or underscores",
            "give your own short name for it",
        )
    ]
