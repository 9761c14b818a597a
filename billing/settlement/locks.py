"""Settlement's row locks, in their order: the period (``billing.periods.locks``), the batch, the
ledger's accounts.
"""

from __future__ import annotations

from uuid import UUID

from billing.settlement.errors import BatchNotFound
from billing.settlement.models import SettlementBatch


def lock_batch(batch_id: UUID) -> SettlementBatch:
    """The batch with its period, both locked; ``BatchNotFound``."""
    batch = (
        SettlementBatch.objects.select_related("period")
        .select_for_update(of=("self", "period"))
        .filter(pk=batch_id)
        .first()
    )
    if batch is None:
        raise BatchNotFound(f"There is no settlement batch {batch_id}.")
    return batch
