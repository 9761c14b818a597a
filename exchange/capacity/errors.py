"""What capacity refuses.

Conflict
├── UnitsSold               fewer units are wanted than are sold in some slot
└── CodeTaken               the provider uses this code already
InvalidInput
└── CapacityFileRefused     a file has bad rows; all of them are named, nothing was stored
"""

from __future__ import annotations

from core.errors import Conflict, InvalidInput


class UnitsSold(Conflict):
    slug = "units-sold"
    title = "More units are sold than would remain"


class CodeTaken(Conflict):
    slug = "code-taken"
    title = "This code is in use already"


class CapacityFileRefused(InvalidInput):
    slug = "capacity-file-refused"
    title = "The file has bad rows; nothing was stored"
