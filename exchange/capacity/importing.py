"""Bulk import: a file of centres, pools and offers as one act, all of it or nothing.

Every row is looked at, whatever was wrong with the ones before it, so that the answer names all
bad rows at once. Rows are written by set-based statements; the number of statements grows with the
file only by its batches.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from accounts import audit
from accounts.actors import Actor
from core.errors import FieldProblem
from exchange.capacity import inbox, rules
from exchange.capacity.errors import CapacityFileRefused
from exchange.capacity.import_rows import CapacityFile, Row, RowProblem
from exchange.capacity.models import Centre, Grade, Pool
from exchange.topology.models import Region

BATCH = 2_000


@dataclass(frozen=True, slots=True)
class OfferRow:
    """An offer of the file whose values are typed and whose pool is known."""

    row: int
    pool: Pool
    values: dict[str, Any]


# Makes the offers and returns what is wrong with any of them; the market's, given by the caller.
CreateOffers = Callable[[Sequence[OfferRow]], Iterable[RowProblem]]


@dataclass(frozen=True, slots=True)
class ImportResult:
    """How many of each a file brought in."""

    centres: int
    pools: int
    offers: int


@transaction.atomic
def import_capacity(
    *, actor: Actor, file: CapacityFile, create_offers: CreateOffers | None, now: datetime
) -> ImportResult:
    """Register all centres, pools and offers of a file, or refuse it and store nothing.

    ``CapacityFileRefused`` names every bad row. Pools and offers may refer to centres and pools
    of the same file or to what the organisation has registered before.
    """
    actor.require_scope("capacity:write")
    actor.require_kind("provider")
    work = _Import(actor, now)
    problems = [
        *file.problems,
        *(p for rows in file.rows.values() for r in rows for p in r.problems),
    ]
    problems += work.take_centres(file.rows["centre"])
    problems += work.take_pools(file.rows["pool"])
    offers, bad = work.take_offers(file.rows["offer"])
    problems += bad
    if offers and create_offers is not None:
        problems += create_offers(offers)
    elif offers:
        problems += [
            RowProblem(o.row, "offer", "", "is not taken here", "leave it out") for o in offers
        ]
    if problems:
        raise _refusal(file, problems)
    return ImportResult(len(work.new_centres), len(work.new_pools), len(offers))


class _Import:
    """What is known while one file is taken in: good rows are stored, bad ones remembered."""

    def __init__(self, actor: Actor, now: datetime) -> None:
        self.actor, self.now = actor, now
        self.new_centres: list[Centre] = []
        self.new_pools: list[Pool] = []
        own = Centre.objects.filter(provider_id=actor.organisation_id)
        self.centres: dict[str, Centre | None] = {centre.code: centre for centre in own}
        # By (code of the centre, code of the pool); None: the row that has it is bad.
        self.pools: dict[tuple[Any, Any], Pool | None] = {}

    def take_centres(self, rows: Sequence[Row]) -> list[RowProblem]:
        """Store the good centres; the problems of the others."""
        regions = set(Region.objects.filter(kind="city").values_list("code", flat=True))
        problems = []
        for row in rows:
            terms = None if row.problems else rules.CentreTerms(**row.values)
            found = rules.problems_of_centre(terms, regions=regions) if terms else []
            code = row.values.get("code")
            if code in self.centres:
                found.append(FieldProblem("code", "is not registered yet", "choose another code"))
            problems += _of_row(row, found)
            if terms and not found:
                centre = rules.centre_row(terms, provider_id=self._provider(), now=self.now)
                self.new_centres.append(centre)
                self.centres[terms.code] = centre
            elif isinstance(code, str):
                self.centres.setdefault(code, None)
        Centre.objects.bulk_create(self.new_centres, batch_size=BATCH)
        self._record("centre.register", "centre", self.new_centres, rules.facts_of_centre)
        return problems

    def take_pools(self, rows: Sequence[Row]) -> list[RowProblem]:
        """Store the good pools and tell their books; the problems of the others."""
        grades = {grade.code: grade for grade in Grade.objects.all()}
        own = Pool.objects.filter(centre__provider_id=self.actor.organisation_id)
        for pool in own.select_related("centre", "grade"):
            self.pools[pool.centre.code, pool.code] = pool
        problems = []
        for row in rows:
            key = (row.values.get("centre"), row.values.get("code"))
            found = self._problems_of_pool(row, key, grades)
            problems += _of_row(row, found)
            centre = self.centres.get(key[0]) if key[0] else None
            if row.problems or found or centre is None:
                if None not in key:
                    self.pools.setdefault(key, None)
                continue
            terms = _pool_terms(row)
            pool = rules.pool_row(
                terms, centre_id=centre.id, grade=grades[terms.grade], now=self.now
            )
            pool.centre = centre
            self.new_pools.append(pool)
            self.pools[centre.code, terms.code] = pool
        Pool.objects.bulk_create(self.new_pools, batch_size=BATCH)
        self._record("pool.register", "pool", self.new_pools, rules.facts_of_pool)
        for batch in _batches(self.new_pools):
            inbox.pools_changed(pools=batch, now=self.now)
        return problems

    def take_offers(self, rows: Sequence[Row]) -> tuple[list[OfferRow], list[RowProblem]]:
        """The offers whose pool is known, and the problems of the others."""
        offers, problems = [], []
        for row in rows:
            key = (row.values.get("centre"), row.values.get("pool"))
            if key[0] is None or key[1] is None:
                continue  # said already: the field is missing or no text
            pool = self.pools.get(key, _UNKNOWN)
            if pool is _UNKNOWN:
                rule = "names a pool of this file, or one of yours"
                problems.append(RowProblem(row.row, "offer", "pool", rule, "register it first"))
            elif isinstance(pool, Pool) and not row.problems:
                offers.append(OfferRow(row.row, pool, row.values))
        return offers, problems

    def _problems_of_pool(
        self, row: Row, key: tuple[Any, Any], grades: dict[str, Grade]
    ) -> list[FieldProblem]:
        found: list[FieldProblem] = []
        if not row.problems:
            found = rules.problems_of_pool(_pool_terms(row), grades=grades)
        if key[0] is not None and key[0] not in self.centres:
            rule = "names a centre of this file, or one of yours"
            found.append(FieldProblem("centre", rule, "register it first"))
        if key in self.pools:
            found.append(
                FieldProblem("code", "is not registered in the centre yet", "choose another code")
            )
        return found

    def _record(
        self, action: str, kind: str, rows: Sequence[Any], facts: Callable[[Any], dict[str, Any]]
    ) -> None:
        for batch in _batches(rows):
            audit.record_many(
                audit.Act(
                    actor=self.actor,
                    action=action,
                    subject_kind=kind,
                    subject_id=row.id,
                    after=facts(row),
                    now=self.now,
                )
                for row in batch
            )

    def _provider(self) -> UUID:
        if self.actor.organisation_id is None:
            raise CapacityFileRefused("A file is imported for an organisation.")
        return self.actor.organisation_id


_UNKNOWN = object()


def _pool_terms(row: Row) -> rules.PoolTerms:
    return rules.PoolTerms(row.values["code"], row.values["grade"], row.values["units"])


def _of_row(row: Row, found: Iterable[FieldProblem]) -> list[RowProblem]:
    return [RowProblem(row.row, row.kind, bad.field, bad.rule, bad.mend) for bad in found]


def _batches(rows: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (rows[start : start + BATCH] for start in range(0, len(rows), BATCH))


def _refusal(file: CapacityFile, problems: Sequence[RowProblem]) -> CapacityFileRefused:
    kinds = {"file": 0, "centre": 1, "pool": 2, "offer": 3}
    by_place = (lambda p: p.row) if file.from_csv else (lambda p: (kinds[p.kind], p.row))
    ordered = sorted(problems, key=by_place)
    rows = {(problem.kind, problem.row) for problem in ordered}
    first = ordered[0].as_error(from_csv=file.from_csv)
    return CapacityFileRefused(
        f"{len(rows)} row(s) of the file are bad and nothing was stored; "
        f"the first: {first['field']}: {first['rule']}",
        bad_rows=len(rows),
        errors=[problem.as_error(from_csv=file.from_csv) for problem in ordered],
    )
