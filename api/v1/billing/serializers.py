"""What unified billing takes and shows. Money is a text of yuan with six places."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from api.paging import DEFAULT_LIMIT, MAX_LIMIT
from api.serializers import InputSerializer, InstantField, MoneyField, OutputSerializer
from billing.metering.models import UsageSource
from billing.metering.rules import MAX_RECORDS, MAX_SOURCE_RECORD_ID
from billing.rating.models import Component
from billing.settlement.funds import MAX_BANK_REFERENCE, MAX_TOP_UP_MICRO
from billing.settlement.models import BatchState, ObligationKind, PayoutState, PeriodState
from billing.settlement.services import MAX_REASON
from core.money import CNY, MAX_MICRO, MICRO_PER_FEN


class AmountField(MoneyField):
    """An amount that is only shown."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(min_micro=None, max_micro=MAX_MICRO, **kwargs)


# Usage


class UsageInput(InputSerializer):
    """Active unit-seconds of a lease in a half-open period."""

    lease_id = serializers.UUIDField()
    source_record_id = serializers.CharField(
        max_length=MAX_SOURCE_RECORD_ID, help_text="Your own id; once for each lease."
    )
    period_start_at = InstantField()
    period_end_at = InstantField()
    active_unit_seconds = serializers.IntegerField(
        min_value=0,
        max_value=2**62,
        help_text="Seconds in which units could be used, times units; used or not.",
    )


class UsageBatchInput(InputSerializer):
    """Up to 5,000 records, all or none."""

    source = serializers.ChoiceField(  # type: ignore[assignment]  # a field, not DRF's source
        UsageSource.choices,
        default=UsageSource.PROVIDER,
        help_text="`probe` is for the platform's own measurements.",
    )
    records = UsageInput(  # type: ignore[call-arg]  # for the list
        many=True, allow_empty=False, max_length=MAX_RECORDS
    )


class UsageReceiptSerializer(OutputSerializer):
    """What became of a batch of records."""

    stored = serializers.IntegerField()
    repeated = serializers.IntegerField(help_text="Known already with the same content.")


class UsageRecordSerializer(OutputSerializer):
    """A usage record; it never changes."""

    id = serializers.UUIDField()
    lease_id = serializers.UUIDField()
    source = serializers.ChoiceField(  # type: ignore[assignment]  # a field, not DRF's source
        UsageSource.choices
    )
    source_record_id = serializers.CharField()
    period_start_at = InstantField()
    period_end_at = InstantField()
    active_unit_seconds = serializers.IntegerField()
    received_at = InstantField()


class UsageQuery(InputSerializer):
    """Which records."""

    lease_id = serializers.UUIDField(required=False)


# Charges


class ChargeLineSerializer(OutputSerializer):
    """One component of a charge."""

    component = serializers.ChoiceField(Component.choices)
    payee_id = serializers.UUIDField(
        allow_null=True, help_text="Who has it coming; null: the platform, or the tax authority."
    )
    region = serializers.CharField(source="region_id")
    amount = AmountField(source="amount_micro")


class ChargeSerializer(OutputSerializer):
    """A rated usage record, tax-inclusive; the lines sum to the amount."""

    id = serializers.UUIDField(help_text="Also the id of its transfer in the ledger.")
    usage_record_id = serializers.UUIDField()
    lease_id = serializers.UUIDField()
    order_id = serializers.UUIDField(source="lease.trade.order_id")
    period_id = serializers.IntegerField(help_text="The settlement period that it falls into.")
    buyer_id = serializers.UUIDField()
    seller_id = serializers.UUIDField()
    buyer_region = serializers.CharField(source="buyer_region_id")
    seller_region = serializers.CharField(source="seller_region_id")
    rule_set = serializers.IntegerField(source="rule_set_id")
    used_from_at = InstantField(source="usage_record.period_start_at")
    used_until_at = InstantField(source="usage_record.period_end_at")
    unit_seconds_before = serializers.IntegerField()
    unit_seconds_after = serializers.IntegerField()
    compute = AmountField(source="compute_micro")
    transport = AmountField(source="transport_micro")
    amount = AmountField(source="amount_micro")
    currency = serializers.CharField(default=CNY, read_only=True)
    charged_at = InstantField()
    lines = ChargeLineSerializer(many=True)


class ChargeQuery(InputSerializer):
    """Which charges."""

    lease_id = serializers.UUIDField(required=False)
    order_id = serializers.UUIDField(required=False)
    period_id = serializers.IntegerField(required=False, min_value=1, max_value=2**31 - 1)


# Funds


class FundsSerializer(OutputSerializer):
    """Prepaid funds: `available` is `balance` less `held`."""

    organisation_id = serializers.UUIDField()
    region = serializers.CharField()
    balance = AmountField(source="balance_micro")
    held = AmountField(source="held_micro")
    available = AmountField(source="available_micro")
    currency = serializers.CharField(default=CNY)


class StatementLineSerializer(OutputSerializer):
    """One movement of prepaid funds: money in is above zero, a charge below."""

    number = serializers.IntegerField(help_text="Counts from 1 without a gap.")
    transfer_id = serializers.UUIDField(source="transfer")
    code = serializers.CharField(help_text="The kind of event, such as charge.usage.")
    reference = serializers.UUIDField()
    effective_at = InstantField()
    amount = AmountField()
    balance_after = AmountField()


class StatementQuery(InputSerializer):
    """Which part of the statement."""

    limit = serializers.IntegerField(
        required=False, min_value=1, max_value=MAX_LIMIT, default=DEFAULT_LIMIT
    )
    cursor = serializers.RegexField(
        r"^[0-9]{1,12}$", required=False, default="0", help_text="The `next` of the page before."
    )


class StatementSerializer(OutputSerializer):
    """A page of movements."""

    results = StatementLineSerializer(many=True)
    next = serializers.CharField(
        allow_null=True, help_text="The `cursor` of the next page; null at the end."
    )


class TopUpInput(InputSerializer):
    """Money of a buyer that arrived at the bank."""

    organisation_id = serializers.UUIDField()
    amount = MoneyField(min_micro=1, max_micro=MAX_TOP_UP_MICRO)
    currency = serializers.ChoiceField([CNY])
    bank_reference = serializers.CharField(
        max_length=MAX_BANK_REFERENCE, help_text="As on the bank's statement; books once."
    )


class TopUpSerializer(OutputSerializer):
    """A booked top-up."""

    id = serializers.UUIDField(help_text="Also the id of its transfer in the ledger.")
    organisation_id = serializers.UUIDField()
    region = serializers.CharField(source="region_id")
    amount = AmountField(source="amount_micro")
    currency = serializers.CharField(default=CNY, read_only=True)
    bank_reference = serializers.CharField()
    received_at = InstantField()


# Settlement


class PeriodSerializer(OutputSerializer):
    """A day of the operator, half-open."""

    id = serializers.IntegerField()
    date = serializers.DateField()
    starts_at = InstantField()
    ends_at = InstantField(help_text="The cut-off: planned, then actual.")
    closed_at = InstantField(allow_null=True)
    state = serializers.ChoiceField(PeriodState.choices)


class BatchSerializer(OutputSerializer):
    """What a period owes to whom: `charged` = `paid_out` + `kept`."""

    id = serializers.UUIDField()
    period_id = serializers.IntegerField()
    period_date = serializers.DateField(source="period.date")
    state = serializers.ChoiceField(BatchState.choices)
    state_reason = serializers.CharField()
    content_hash = serializers.CharField(help_text="SHA-256 of all that the batch says.")
    charged = AmountField(source="charged_micro")
    paid_out = AmountField(source="paid_out_micro")
    kept = AmountField(
        source="kept_micro", help_text="Commission, tax, and what is carried in parts of a fen."
    )
    currency = serializers.CharField(default=CNY, read_only=True)
    created_at = InstantField()
    created_by = serializers.CharField(source="created_by.email", default=None, allow_null=True)
    submitted_at = InstantField(allow_null=True)
    submitted_by = serializers.CharField(source="submitted_by.email", default=None, allow_null=True)
    approved_at = InstantField(allow_null=True)
    approved_by = serializers.CharField(source="approved_by.email", default=None, allow_null=True)
    settled_at = InstantField(allow_null=True)


class ObligationSerializer(OutputSerializer):
    """Who owes whom, before netting."""

    id = serializers.UUIDField()
    kind = serializers.ChoiceField(ObligationKind.choices)
    debtor_region = serializers.CharField(source="debtor_region_id")
    creditor_region = serializers.CharField(source="creditor_region_id")
    organisation_id = serializers.UUIDField(allow_null=True)
    amount = AmountField(source="amount_micro")
    line_count = serializers.IntegerField(help_text="Charge lines behind the amount.")


class PortionSerializer(OutputSerializer):
    """So much of an obligation."""

    obligation_id = serializers.UUIDField(source="debt")
    amount = AmountField()


class RegionPaymentSerializer(OutputSerializer):
    """A payment between regions after netting, and the obligations that it discharges."""

    id = serializers.UUIDField()
    payer_region = serializers.CharField(source="payer_region_id")
    payee_region = serializers.CharField(source="payee_region_id")
    amount = AmountField(source="amount_micro")
    discharges = serializers.SerializerMethodField()

    @extend_schema_field(PortionSerializer(many=True))
    def get_discharges(self, payment: Any) -> list[PortionSerializer]:
        """The portions of what the payer owes."""
        portions = self.context["discharged"].get(
            (payment.payer_region_id, payment.payee_region_id), ()
        )
        return PortionSerializer(portions, many=True).data  # type: ignore[return-value]


class RegionPositionSerializer(OutputSerializer):
    """A region in a batch; `net` is the same before and after netting."""

    region = serializers.CharField()
    owes = AmountField(source="owes_micro")
    is_owed = AmountField(source="is_owed_micro")
    net = AmountField(source="net_micro")
    pays = AmountField(source="pays_micro")
    receives = AmountField(source="receives_micro")


class PayoutSerializer(OutputSerializer):
    """A payment to a provider or carrier, in whole fen."""

    id = serializers.UUIDField()
    batch_id = serializers.UUIDField()
    organisation_id = serializers.UUIDField()
    organisation_name = serializers.CharField(source="organisation.name")
    region = serializers.CharField(source="region_id")
    owed = AmountField(source="owed_micro", help_text="With what the period before carried.")
    amount = serializers.SerializerMethodField()
    carried = AmountField(source="carried_micro", help_text="Parts of a fen, to the next period.")
    currency = serializers.CharField(default=CNY, read_only=True)
    end_to_end_id = serializers.CharField()
    state = serializers.ChoiceField(PayoutState.choices)

    def get_amount(self, payout: Any) -> str:
        """Yuan with six places, the last four of them zero."""
        return AmountField().to_representation(payout.amount_fen * MICRO_PER_FEN)


class BatchDetailSerializer(BatchSerializer):
    """A batch with all that two people put their names to."""

    regions = RegionPositionSerializer(many=True)
    obligations = ObligationSerializer(many=True)
    region_payments = RegionPaymentSerializer(many=True)
    payouts = PayoutSerializer(many=True)


class DraftInput(InputSerializer):
    """Which period: by id or by date."""

    period_id = serializers.IntegerField(required=False, min_value=1, max_value=2**31 - 1)
    date = serializers.DateField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Exactly one of both."""
        if len(attrs) != 1:
            raise serializers.ValidationError("must name the period by period_id or by date")
        return attrs


class ApproveInput(InputSerializer):
    """The hash of what is approved."""

    content_hash = serializers.RegexField(r"^[0-9a-f]{64}$")


class RejectInput(InputSerializer):
    """Why it goes back."""

    reason = serializers.CharField(max_length=MAX_REASON)


class TrialBalanceQuery(InputSerializer):
    """As of when; now where nothing is said."""

    as_of = InstantField(required=False)


class TrialBalanceSerializer(OutputSerializer):
    """A region's books in one asset; they balance where `debits` = `credits`."""

    region = serializers.CharField()
    asset = serializers.CharField()
    debits = AmountField()
    credits = AmountField()
    by_code = serializers.DictField(
        child=AmountField(), help_text="Debits less credits of the accounts of each code."
    )


class TrialBalancesSerializer(OutputSerializer):
    """The books of all regions."""

    results = TrialBalanceSerializer(many=True)
