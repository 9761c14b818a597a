"""The verbs of topology: bring in reference data, change a link."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import transaction

from accounts import audit
from accounts.actors import Actor
from accounts.models import Organisation
from core.errors import FieldProblem, InvalidInput, NotFound
from exchange.topology import distance
from exchange.topology.models import Link, Region

DATA = Path(__file__).parent / "data"


@dataclass(frozen=True, slots=True)
class LinkChange:
    """New values of a link; None leaves a value as it is."""

    carrier_id: UUID | None = None
    bandwidth_gbps: int | None = None
    price_per_gb: Decimal | None = None
    is_open: bool | None = None


@transaction.atomic
def load_regions(rows: Sequence[Mapping[str, Any]]) -> int:
    """Create or correct the regions of the tree, parents before children. Returns how many."""
    Region.objects.bulk_create(
        [
            Region(
                code=row["code"],
                name_zh=row["name_zh"],
                name_en=row["name_en"],
                kind=row["kind"],
                role=row["role"],
                parent_id=row["parent"],
                latitude=Decimal(str(row["lat"])),
                longitude=Decimal(str(row["lon"])),
            )
            for row in rows
        ],
        update_conflicts=True,
        unique_fields=["code"],
        update_fields=["name_zh", "name_en", "kind", "role", "parent", "latitude", "longitude"],
    )
    return len(rows)


@transaction.atomic
def load_links(rows: Sequence[Mapping[str, Any]]) -> int:
    """Create missing links, and derive distance and round trip of all again. Returns how many."""
    places = {
        region.code: (float(region.latitude), float(region.longitude))
        for region in Region.objects.exclude(latitude=None).exclude(longitude=None)
        if region.latitude is not None and region.longitude is not None
    }
    links = []
    for row in rows:
        first, second = sorted((row["a"], row["b"]))
        kilometres = distance.great_circle_km(*places[first], *places[second])
        links.append(
            Link(
                region_a_id=first,
                region_b_id=second,
                distance_km=round(Decimal(kilometres), 1),
                rtt_us=distance.link_rtt_us(kilometres),
                bandwidth_gbps=row["bandwidth_gbps"],
                price_per_gb=Decimal(row["price_per_gb"]),
            )
        )
    Link.objects.bulk_create(
        links,
        update_conflicts=True,
        unique_fields=["region_a", "region_b"],
        update_fields=["distance_km", "rtt_us"],
    )
    return len(links)


def reference_regions() -> list[dict[str, Any]]:
    """The rows of ``data/regions.json``."""
    return _rows("regions")


def reference_links() -> list[dict[str, Any]]:
    """The rows of ``data/links.json``."""
    return _rows("links")


@transaction.atomic
def change_link(*, actor: Actor, link_id: int, change: LinkChange, now: datetime) -> Link:
    """Change a link's carrier, bandwidth, price or opening; for the operator of the market.

    What is traded already keeps its path and price. ``NotFound`` for an unknown link,
    ``InvalidInput`` for a negative price or an organisation that is no carrier.
    """
    actor.require_operator("market")
    link = Link.objects.select_for_update().filter(id=link_id).first()
    if link is None:
        raise NotFound("There is no such link.")
    _check(change)
    before = _facts(link)
    for name in ("carrier_id", "bandwidth_gbps", "price_per_gb", "is_open"):
        value = getattr(change, name)
        if value is not None:
            setattr(link, name, value)
    link.save(update_fields=["carrier", "bandwidth_gbps", "price_per_gb", "is_open"])
    audit.record(
        actor=actor,
        action="link.change",
        subject_kind="link",
        subject_id=str(link.id),
        before=before,
        after=_facts(link),
        now=now,
    )
    return link


def _check(change: LinkChange) -> None:
    problems = []
    if change.carrier_id is not None:
        carrier = Organisation.objects.filter(id=change.carrier_id).first()
        if carrier is None or "carrier" not in carrier.kinds:
            problems.append(
                FieldProblem(
                    "carrier_id",
                    "names a registered carrier",
                    "give the id of an organisation of kind carrier",
                )
            )
    if change.price_per_gb is not None and change.price_per_gb < 0:
        problems.append(
            FieldProblem("price_per_gb", "is not negative", "give a price of 0 or more")
        )
    if change.bandwidth_gbps is not None and change.bandwidth_gbps < 1:
        problems.append(FieldProblem("bandwidth_gbps", "is at least 1", "give whole Gbit/s"))
    if problems:
        raise InvalidInput("The link cannot be changed like this.", fields=problems)


def _facts(link: Link) -> dict[str, Any]:
    return {
        "carrier_id": str(link.carrier_id) if link.carrier_id else None,
        "bandwidth_gbps": link.bandwidth_gbps,
        "price_per_gb": f"{link.price_per_gb:.6f}",
        "is_open": link.is_open,
    }


def _rows(name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((DATA / f"{name}.json").read_text("utf-8"))[name]
    return rows
