"""What rating refuses.

NotFound
└── ChargeNotFound
"""

from __future__ import annotations

from core.errors import NotFound


class ChargeNotFound(NotFound):
    slug = "charge-not-found"
    title = "No such charge"
