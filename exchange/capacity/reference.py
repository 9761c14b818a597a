"""Bring in the catalogue: device models with their figures, books and grades. Idempotent."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.db import transaction

from exchange.capacity.models import Book, DeviceFigure, DeviceModel, Grade, ResourceClass

DATA = Path(__file__).parent / "data"


def reference_device_models() -> list[dict[str, Any]]:
    """The rows of ``data/device_models.json``."""
    return _rows("device_models")


def reference_grades() -> list[dict[str, Any]]:
    """The rows of ``data/grades.json``."""
    return _rows("grades")


@transaction.atomic
def load_device_models(rows: Sequence[Mapping[str, Any]]) -> int:
    """Create or correct device models and their figures; figures no longer stated go. How many."""
    DeviceModel.objects.bulk_create(
        [
            DeviceModel(
                code=row["code"],
                name=row["name"],
                vendor=row["vendor"],
                kind=row["kind"],
                is_domestic=row["domestic"],
                memory_gb=row["memory_gb"],
            )
            for row in rows
        ],
        update_conflicts=True,
        unique_fields=["code"],
        update_fields=["name", "vendor", "kind", "is_domestic", "memory_gb"],
    )
    DeviceFigure.objects.bulk_create(
        [
            DeviceFigure(
                device_model_id=row["code"],
                quantity=figure["quantity"],
                value=Decimal(figure["value"]),
                kind=figure["kind"],
                source=figure["source"],
            )
            for row in rows
            for figure in row["figures"]
        ],
        update_conflicts=True,
        unique_fields=["device_model", "quantity", "kind"],
        update_fields=["value", "source"],
    )
    stated = {(r["code"], f["quantity"], f["kind"]) for r in rows for f in r["figures"]}
    gone = [
        figure.id
        for figure in DeviceFigure.objects.filter(device_model_id__in=[r["code"] for r in rows])
        if (figure.device_model_id, figure.quantity, figure.kind) not in stated
    ]
    DeviceFigure.objects.filter(id__in=gone).delete()
    return len(rows)


@transaction.atomic
def load_books() -> int:
    """Create a book for each resource class; what exists stays. Returns how many there are."""
    Book.objects.bulk_create(
        [Book(code=value, resource_class=value) for value in ResourceClass.values],
        ignore_conflicts=True,
    )
    return Book.objects.count()


@transaction.atomic
def load_grades(rows: Sequence[Mapping[str, Any]]) -> int:
    """Create or correct grades. A grade stays in the book it is in. Returns how many."""
    books = {book.code: book.id for book in Book.objects.all()}
    Grade.objects.bulk_create(
        [
            Grade(
                code=row["code"],
                book_id=books[row["book"]],
                resource_class=row["resource_class"],
                device_model_id=row["device_model"],
                devices_per_unit=row["accelerators"],
                vcpus_per_unit=row["vcpus"],
                memory_gb_per_unit=row["memory_gb"],
                unit_description=_describe(row),
            )
            for row in rows
        ],
        update_conflicts=True,
        unique_fields=["code"],
        update_fields=["unit_description", "vcpus_per_unit", "memory_gb_per_unit"],
    )
    return len(rows)


def _describe(row: Mapping[str, Any]) -> str:
    shape = f"{row['vcpus']} vCPU, {row['memory_gb']} GB"
    note = f"; {row['note']}" if "note" in row else ""
    return f"{row['name_zh']} ({shape}{note})"[:200]


def _rows(name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((DATA / f"{name}.json").read_text("utf-8"))[name]
    return rows
