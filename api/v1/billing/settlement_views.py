"""Settlement over HTTP, for the operator's people.

The acting person is the holder of the key: submitter and approver are compared as persons.
"""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.actors import Actor
from api.paging import paged
from api.serializers import EmptyInput, InputSerializer
from api.v1.billing import serializers as shapes
from api.views import ApiView, WriteView
from billing.settlement import selectors, services
from billing.settlement.payment_file import payment_file
from core import clock
from ledger.selectors import trial_balance


class PeriodsView(ApiView):
    scope = "operator"

    @extend_schema(
        operation_id="settlement_periods_list",
        summary="Settlement periods",
        responses=paged(shapes.PeriodSerializer),
    )
    def get(self, request: Request) -> Response:
        """The operator's days, the oldest first; one is open."""
        return self.page(
            selectors.periods_visible_to(self.actor), shapes.PeriodSerializer, order="id"
        )


class CutOffView(WriteView):
    scope = "operator"

    @extend_schema(
        operation_id="settlement_cut_off",
        summary="Cut the open period off",
        request=EmptyInput,
        responses=shapes.PeriodSerializer,
    )
    def post(self, request: Request) -> Response:
        """The open period is set to closing, and the next one opens; answers the one that
        closes. By the settlement clerk."""
        self.body(EmptyInput)
        period = services.cut_off(actor=self.actor, now=clock.now())
        return Response(shapes.PeriodSerializer(period).data)


class BatchesView(WriteView):
    scope = "operator"

    @extend_schema(
        operation_id="settlement_batches_list",
        summary="Settlement batches",
        responses=paged(shapes.BatchSerializer),
    )
    def get(self, request: Request) -> Response:
        """All batches, the oldest first."""
        return self.page(selectors.visible_to(self.actor), shapes.BatchSerializer, order="id")

    @extend_schema(
        operation_id="settlement_batches_draft",
        summary="Draw a batch up",
        request=shapes.DraftInput,
        responses={201: shapes.BatchDetailSerializer},
        examples=[OpenApiExample("By date", request_only=True, value={"date": "2026-11-23"})],
    )
    def post(self, request: Request) -> Response:
        """For a closing period, by the settlement clerk; an earlier draft is discarded."""
        asked = self.body(shapes.DraftInput)
        batch = services.draft_batch(
            actor=self.actor,
            period_id=selectors.period_id(actor=self.actor, **asked),
            now=clock.now(),
        )
        return _detail(self.actor, batch.pk, status=201)


class BatchView(ApiView):
    scope = "operator"

    @extend_schema(
        operation_id="settlement_batches_get",
        summary="A settlement batch",
        responses=shapes.BatchDetailSerializer,
    )
    def get(self, request: Request, batch_id: UUID) -> Response:
        """Regions, obligations, payments between regions after netting, payouts."""
        return _detail(self.actor, batch_id)


def _moved(
    view: WriteView,
    verb: Callable[..., object],
    batch_id: UUID,
    body: type[InputSerializer] = EmptyInput,
) -> Response:
    """The batch after ``verb``, which takes what stands in the body."""
    verb(actor=view.actor, batch_id=batch_id, now=clock.now(), **view.body(body))
    batch = selectors.batch(actor=view.actor, batch_id=batch_id)
    return Response(shapes.BatchSerializer(batch).data)


class SubmitView(WriteView):
    scope = "operator"

    @extend_schema(
        operation_id="settlement_batches_submit",
        summary="Submit a batch",
        request=EmptyInput,
        responses=shapes.BatchSerializer,
    )
    def post(self, request: Request, batch_id: UUID) -> Response:
        """The first person, a settlement clerk, stands for the draft."""
        return _moved(self, services.submit_batch, batch_id)


class ApproveView(WriteView):
    scope = "operator"

    @extend_schema(
        operation_id="settlement_batches_approve",
        summary="Approve a batch",
        request=shapes.ApproveInput,
        responses=shapes.BatchSerializer,
    )
    def post(self, request: Request, batch_id: UUID) -> Response:
        """Another person, a settlement approver, approves exactly the content of that hash."""
        return _moved(self, services.approve_batch, batch_id, shapes.ApproveInput)


class RejectView(WriteView):
    scope = "operator"

    @extend_schema(
        operation_id="settlement_batches_reject",
        summary="Reject a batch",
        request=shapes.RejectInput,
        responses=shapes.BatchSerializer,
    )
    def post(self, request: Request, batch_id: UUID) -> Response:
        """A settlement approver sends it back; the period can be drawn up again."""
        return _moved(self, services.reject_batch, batch_id, shapes.RejectInput)


class PaymentFileView(ApiView):
    scope = "operator"

    @extend_schema(
        operation_id="settlement_batches_payouts_csv",
        summary="The payment file",
        responses={(200, "text/csv"): OpenApiTypes.STR},
    )
    def get(self, request: Request, batch_id: UUID) -> HttpResponse:
        """One line for each payout above zero; from the approval on."""
        batch = selectors.batch(actor=self.actor, batch_id=batch_id)
        name = f"payouts-{batch.period.date.isoformat()}.csv"
        return HttpResponse(
            payment_file(batch),
            content_type="text/csv; charset=utf-8",
            headers={"Content-Disposition": f'attachment; filename="{name}"'},
        )


class TrialBalanceView(ApiView):
    scope = "operator"
    operator_roles = ("settlement_clerk", "settlement_approver", "auditor", "market")

    @extend_schema(
        operation_id="ledger_trial_balance",
        summary="The trial balance",
        parameters=[shapes.TrialBalanceQuery],
        responses=shapes.TrialBalancesSerializer,
    )
    def get(self, request: Request) -> Response:
        """The books of each region and asset: debits equal credits."""
        books = trial_balance(self.query(shapes.TrialBalanceQuery).get("as_of"))
        return Response(shapes.TrialBalancesSerializer({"results": books}).data)


def _detail(actor: Actor, batch_id: UUID, *, status: int = 200) -> Response:
    batch = selectors.batch(actor=actor, batch_id=batch_id)
    body = dict(shapes.BatchSerializer(batch).data)
    discharged = {"discharged": selectors.discharged_by(batch)}
    body |= {
        "regions": shapes.RegionPositionSerializer(
            selectors.region_positions(batch), many=True
        ).data,
        "obligations": shapes.ObligationSerializer(batch.obligations.all(), many=True).data,
        "region_payments": shapes.RegionPaymentSerializer(
            batch.region_payments.all(), many=True, context=discharged
        ).data,
        "payouts": shapes.PayoutSerializer(batch.payouts.all(), many=True).data,
    }
    return Response(body, status=status)
