"""Taking back what was sold reclaimable, over HTTP."""

from __future__ import annotations

from uuid import UUID

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from api.paging import paged
from api.serializers import InputSerializer, InstantField, MoneyField, OutputSerializer, SlotField
from api.views import ApiView, WriteView
from core import clock
from exchange.market.intake import MAX_UNITS
from exchange.scheduling import reclaiming
from exchange.scheduling.models import ReclaimState
from exchange.scheduling.services import MAX_REASON

_EXAMPLE = OpenApiExample(
    "Sixteen units from an hour on",
    value={"from_at": "2026-11-24T08:00:00Z", "units": 16, "reason": "grid curtailment"},
    request_only=True,
)


class ReclaimInput(InputSerializer):
    """Units, the latest entry first, or the leases by name."""

    from_at = SlotField(help_text="The first hour that is not delivered any more.")
    units = serializers.IntegerField(min_value=1, max_value=MAX_UNITS, required=False)
    leases = serializers.ListField(
        child=serializers.UUIDField(), max_length=reclaiming.MAX_LEASES, required=False
    )
    reason = serializers.CharField(max_length=MAX_REASON, allow_blank=True, default="")


class ReclaimSerializer(OutputSerializer):
    """A lease that is taken back."""

    lease_id = serializers.UUIDField()
    request_id = serializers.UUIDField()
    state = serializers.ChoiceField(ReclaimState.choices)
    reason = serializers.CharField()
    units = serializers.IntegerField(source="lease.units")
    due_at = InstantField(help_text="When the lease ends.")
    compensation = MoneyField(
        source="compensation_micro", allow_null=True, help_text="Owed to the buyer, once ended."
    )
    noticed_at = InstantField()
    decided_at = InstantField(allow_null=True)


class ReclaimedSerializer(OutputSerializer):
    reclaims = ReclaimSerializer(many=True)


class ReclaimsQuery(InputSerializer):
    state = serializers.ChoiceField(ReclaimState.choices, required=False)
    request_id = serializers.UUIDField(required=False)


class PoolReclaimView(WriteView):
    scope = "leases"

    @extend_schema(
        operation_id="pools_reclaim",
        summary="Reclaim sold capacity",
        request=ReclaimInput,
        responses={201: ReclaimedSerializer},
        examples=[_EXAMPLE],
    )
    def post(self, request: Request, pool_id: UUID) -> Response:
        """Give notice of taking back what you sold reclaimable. What is sold firm stays sold."""
        wanted = self.body(ReclaimInput)
        rows = reclaiming.reclaim(
            actor=self.actor,
            pool_id=pool_id,
            from_slot=wanted["from_at"],
            units=wanted.get("units"),
            lease_ids=wanted.get("leases", ()),
            reason=wanted["reason"],
            now=clock.now(),
        )
        return Response(ReclaimedSerializer({"reclaims": rows}).data, status=201)


class ReclaimsView(ApiView):
    scope = "leases"

    @extend_schema(
        operation_id="reclaims_list",
        summary="Reclaimed leases",
        parameters=[ReclaimsQuery],
        responses=paged(ReclaimSerializer),
    )
    def get(self, request: Request) -> Response:
        """What you take back, and what is taken back from you; the newest lease first."""
        found = reclaiming.visible_to(self.actor).filter(**self.query(ReclaimsQuery))
        return self.page(found, ReclaimSerializer, order="-lease_id")
