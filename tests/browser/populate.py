"""Fills the database of the environment with a day of trades and charges.

Run as ``python -m tests.browser.populate`` beside a running exchange; the console does the rest.
"""

from __future__ import annotations

import django

django.setup()

from django.db import transaction  # noqa: E402 - after Django is set up

from accounts.models import OperatorRole  # noqa: E402
from billing.settlement.services import ensure_open_period  # noqa: E402
from core import clock  # noqa: E402
from exchange.capacity.models import Book  # noqa: E402
from tests.integration import console_scene  # noqa: E402


@transaction.atomic
def main() -> None:
    """A scene of some regions; the clerk holds the approver's role too, to be refused as one."""
    now = clock.now()
    period = ensure_open_period(now=now)
    scene = console_scene.build(now=now, cities=8, buyers=9, orders=40, period=period)
    OperatorRole.objects.create(
        user=scene.people["clerk"], role="settlement_approver", created_at=now
    )
    console_scene.outsider(scene, now)
    # A book that the real matcher may take up: what rests in the others was written by hand.
    Book.objects.get_or_create(code="quantum", defaults={"resource_class": "quantum"})


if __name__ == "__main__":
    main()
