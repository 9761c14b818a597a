"""Usage, charges and funds over HTTP."""

from __future__ import annotations

from uuid import UUID

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.actors import Actor
from api.paging import paged
from api.v1.billing import serializers as shapes
from api.views import ApiView, WriteView
from billing.metering import selectors as metering
from billing.metering.services import ReportedUse, report_usage
from billing.rating import selectors as rating
from billing.rating.errors import ChargeNotFound
from billing.settlement import funds, selectors
from core import clock
from core.errors import NotFound


class UsageRecordsView(WriteView):
    scope = "usage"

    @extend_schema(
        operation_id="usage_records_list",
        summary="Usage records",
        parameters=[shapes.UsageQuery],
        responses=paged(shapes.UsageRecordSerializer),
    )
    def get(self, request: Request) -> Response:
        """The records of leases that you deliver or use, the oldest first."""
        query = self.query(shapes.UsageQuery)
        return self.page(
            metering.visible_to(self.actor).filter(**query),
            shapes.UsageRecordSerializer,
            order="id",
        )

    @extend_schema(
        operation_id="usage_records_report",
        summary="Report usage",
        request=shapes.UsageBatchInput,
        responses={201: shapes.UsageReceiptSerializer},
        examples=[
            OpenApiExample(
                "An hour of 8 units",
                request_only=True,
                value={
                    "records": [
                        {
                            "lease_id": "0199f0a2-7d7e-7a61-9c53-2f3a5d1f0c11",
                            "source_record_id": "node7-2026-11-23T08",
                            "period_start_at": "2026-11-23T08:00:00Z",
                            "period_end_at": "2026-11-23T09:00:00Z",
                            "active_unit_seconds": 28800,
                        }
                    ]
                },
            )
        ],
    )
    def post(self, request: Request) -> Response:
        """Up to 5,000 records, all or none. What is known with the same content is swallowed;
        every bad record is named by its index."""
        batch = self.body(shapes.UsageBatchInput)
        receipt = report_usage(
            actor=self.actor,
            records=[ReportedUse(**record) for record in batch["records"]],
            source=batch["source"],
            now=clock.now(),
        )
        return Response(shapes.UsageReceiptSerializer(receipt).data, status=201)


class ChargesView(ApiView):
    scope = "billing"

    @extend_schema(
        operation_id="charges_list",
        summary="Charges",
        parameters=[shapes.ChargeQuery],
        responses=paged(shapes.ChargeSerializer),
    )
    def get(self, request: Request) -> Response:
        """What you were charged, or earned, by use; the oldest first, each with its lines."""
        query = self.query(shapes.ChargeQuery)
        charges = rating.visible_to(self.actor)
        if "order_id" in query:
            charges = charges.filter(lease__trade__order_id=query.pop("order_id"))
        return self.page(charges.filter(**query), shapes.ChargeSerializer, order="id")


class ChargeView(ApiView):
    scope = "billing"

    @extend_schema(
        operation_id="charges_get", summary="A charge", responses=shapes.ChargeSerializer
    )
    def get(self, request: Request, charge_id: UUID) -> Response:
        """A charge with its lines."""
        charge = rating.visible_to(self.actor).filter(pk=charge_id).first()
        if charge is None:
            raise ChargeNotFound(f"There is no charge {charge_id}.")
        return Response(shapes.ChargeSerializer(charge).data)


class AccountView(ApiView):
    scope = "billing"

    @extend_schema(
        operation_id="account_get", summary="Your prepaid funds", responses=shapes.FundsSerializer
    )
    def get(self, request: Request) -> Response:
        """Balance, what is held for orders and leases, and what is available."""
        organisation_id, region_code = _books(self.actor)
        found = funds.funds_of(organisation_id, region_code)
        return Response(
            shapes.FundsSerializer(
                {
                    "organisation_id": organisation_id,
                    "region": found.region_code,
                    "balance_micro": found.balance_micro,
                    "held_micro": found.held_micro,
                    "available_micro": found.available_micro,
                }
            ).data
        )


class StatementView(ApiView):
    scope = "billing"

    @extend_schema(
        operation_id="account_statement",
        summary="What moved your prepaid funds",
        parameters=[shapes.StatementQuery],
        responses=shapes.StatementSerializer,
    )
    def get(self, request: Request) -> Response:
        """Every movement, in the order of booking."""
        query = shapes.StatementQuery(data=request.query_params.dict())
        query.is_valid(raise_exception=True)
        limit = query.validated_data["limit"]
        organisation_id, region_code = _books(self.actor)
        lines = funds.statement_of(
            organisation_id,
            region_code,
            after=int(query.validated_data["cursor"]),
            limit=limit + 1,
        )
        shown = lines[:limit]
        following = str(shown[-1].number) if len(lines) > limit else None
        return Response(shapes.StatementSerializer({"results": shown, "next": following}).data)


class TopUpsView(WriteView):
    scope = "billing:read"

    @extend_schema(
        operation_id="top_ups_list",
        summary="Top-ups",
        responses=paged(shapes.TopUpSerializer),
    )
    def get(self, request: Request) -> Response:
        """What arrived for you at the bank, the oldest first."""
        return self.page(
            selectors.top_ups_visible_to(self.actor), shapes.TopUpSerializer, order="id"
        )

    @extend_schema(
        operation_id="top_ups_record",
        summary="Book a top-up",
        request=shapes.TopUpInput,
        responses={201: shapes.TopUpSerializer},
        examples=[
            OpenApiExample(
                "A bank transfer",
                request_only=True,
                value={
                    "organisation_id": "0199f0a2-7d7e-7a61-9c53-2f3a5d1f0c11",
                    "amount": "250000.000000",
                    "currency": "CNY",
                    "bank_reference": "ICBC 20261123 000481",
                },
            )
        ],
    )
    def post(self, request: Request) -> Response:
        """By the operator's settlement clerk, once the money is at the bank."""
        self.actor.require_scope("operator")
        facts = self.body(shapes.TopUpInput)
        top_up = funds.record_top_up(
            actor=self.actor,
            organisation_id=facts["organisation_id"],
            amount_micro=facts["amount"],
            bank_reference=facts["bank_reference"],
            now=clock.now(),
        )
        return Response(shapes.TopUpSerializer(top_up).data, status=201)


class PayoutsView(ApiView):
    scope = "billing"

    @extend_schema(
        operation_id="payouts_list",
        summary="Payouts",
        responses=paged(shapes.PayoutSerializer),
    )
    def get(self, request: Request) -> Response:
        """What was paid out to you, the oldest first."""
        return self.page(
            selectors.payouts_visible_to(self.actor), shapes.PayoutSerializer, order="id"
        )


def _books(actor: Actor) -> tuple[UUID, str]:
    """Whose prepaid funds the actor may see, and in which region's books they stand."""
    if actor.organisation_id is None or "buyer" not in actor.organisation_kinds:
        raise NotFound("Only buyers have prepaid funds.")
    return actor.organisation_id, actor.region_code or ""
