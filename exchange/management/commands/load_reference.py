"""``manage.py load_reference``: bring in regions, links, device models, books and grades.

Repeating it is safe: what is missing is created, facts that changed are corrected.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction

from exchange.capacity import reference
from exchange.pricing.models import RuleSet
from exchange.topology import services as topology

# The first tariff, in basis points: value-added tax at the general rates of modern services
# (6 %) and basic telecommunication (9 %); the commission is this platform's own choice. In force
# from a fixed day, as every fact of the reference data: whenever it is loaded, it says the same.
FIRST_RULES = {
    "valid_from_at": datetime(2026, 1, 1, tzinfo=UTC),
    "commission_bp": 300,
    "compute_vat_bp": 600,
    "transport_vat_bp": 900,
    "brokerage_vat_bp": 600,
    "reporting_grace_seconds": 6 * 3600,
    "note": "First tariff",
}


class Command(BaseCommand):
    help = "Load regions, links, device models, books, grades and the first pricing rules."

    @transaction.atomic
    def handle(self, *_args: Any, **_options: Any) -> None:
        counts = {
            "regions": topology.load_regions(topology.reference_regions()),
            "links": topology.load_links(topology.reference_links()),
            "device models": reference.load_device_models(reference.reference_device_models()),
            "books": reference.load_books(),
            "grades": reference.load_grades(reference.reference_grades()),
            "pricing rules": self._first_rules(),
        }
        self.stdout.write(", ".join(f"{count} {name}" for name, count in counts.items()))

    def _first_rules(self) -> int:
        if not RuleSet.objects.exists():
            RuleSet.objects.create(**FIRST_RULES)
        return RuleSet.objects.count()
