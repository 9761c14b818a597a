"""Which rules hold when."""

from __future__ import annotations

from datetime import datetime

from core.errors import Unavailable
from exchange.pricing.models import RuleSet


def rule_set_at(at: datetime) -> RuleSet:
    """The version of the rules in force at an instant; ``Unavailable`` where none is yet."""
    rules = RuleSet.objects.filter(valid_from_at__lte=at).order_by("-valid_from_at").first()
    if rules is None:
        raise Unavailable("No pricing rules are in force yet; run manage.py load_reference.")
    return rules
