"""Re-exported for Django's loader; import models from their rooms."""

from billing.metering.models import UnratedRecord, UsageRecord
from billing.periods.models import SettlementPeriod
from billing.rating.models import Charge, ChargeLine
from billing.settlement.models import (
    Obligation,
    Payout,
    RegionPayment,
    SettlementBatch,
    TopUp,
)

__all__ = [
    "Charge",
    "ChargeLine",
    "Obligation",
    "Payout",
    "RegionPayment",
    "SettlementBatch",
    "SettlementPeriod",
    "TopUp",
    "UnratedRecord",
    "UsageRecord",
]
