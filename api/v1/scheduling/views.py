"""Leases over HTTP."""

from __future__ import annotations

from uuid import UUID

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from api.paging import paged
from api.v1.scheduling import serializers as shapes
from api.views import ApiView, WriteView
from core import clock
from exchange.scheduling import selectors, services

_LEASE = "0199f0a2-7d7e-7a61-9c53-2f3a5d1f0c11"


class LeasesView(ApiView):
    scope = "leases"

    @extend_schema(
        operation_id="leases_list",
        summary="Your leases",
        parameters=[shapes.LeaseQuery],
        responses=paged(shapes.LeaseSerializer),
    )
    def get(self, request: Request) -> Response:
        """The leases that you deliver or use, the oldest first."""
        query = self.query(shapes.LeaseQuery)
        leases = selectors.visible_to(self.actor)
        if "party" in query:
            leases = selectors.leases_as(self.actor, query["party"])
        if "state" in query:
            leases = leases.filter(state=query["state"])
        if "updated_since" in query:
            leases = leases.filter(updated_at__gte=query["updated_since"])
        return self.page(leases, shapes.LeaseSerializer, order="trade_id")


class LeaseView(ApiView):
    scope = "leases"

    @extend_schema(
        operation_id="leases_get", summary="A lease", responses=shapes.LeaseDetailSerializer
    )
    def get(self, request: Request, lease_id: UUID) -> Response:
        """A lease with its history."""
        lease = selectors.lease(actor=self.actor, lease_id=lease_id)
        body = dict(shapes.LeaseSerializer(lease).data)
        events = selectors.events_of(lease_id)
        body["events"] = shapes.LeaseEventSerializer(events, many=True).data
        return Response(body)


class TransitionsView(WriteView):
    scope = "leases"

    @extend_schema(
        operation_id="leases_move",
        summary="Move a lease along",
        request=shapes.TransitionInput,
        responses=shapes.LeaseSerializer,
        examples=[
            OpenApiExample("The buyer can use it", request_only=True, value={"event": "activate"}),
            OpenApiExample(
                "The provider cannot go on",
                request_only=True,
                value={"event": "fail", "reason": "cooling is out"},
            ),
        ],
    )
    def post(self, request: Request, lease_id: UUID) -> Response:
        """The provider says provision, activate, complete or fail; the buyer says terminate."""
        step = self.body(shapes.TransitionInput)
        lease = services.transition_lease(
            actor=self.actor, lease_id=lease_id, now=clock.now(), **step
        )
        return Response(shapes.LeaseSerializer(lease).data)


class BulkTransitionsView(WriteView):
    scope = "leases"

    @extend_schema(
        operation_id="leases_move_many",
        summary="Move many leases along",
        request=shapes.MovesInput,
        responses=shapes.MovesSerializer,
        examples=[
            OpenApiExample(
                "Two leases",
                request_only=True,
                value={
                    "moves": [
                        {"lease_id": _LEASE, "event": "activate"},
                        {"lease_id": _LEASE[:-1] + "2", "event": "fail", "reason": "disk lost"},
                    ]
                },
            )
        ],
    )
    def post(self, request: Request) -> Response:
        """Up to 1,000 steps, each by itself: what is refused carries its problem, the others are
        done. An answer for each, in the order sent."""
        steps = self.body(shapes.MovesInput)["moves"]
        moved = services.transition_leases(
            actor=self.actor,
            moves=[services.LeaseMove(**step) for step in steps],
            now=clock.now(),
        )
        return Response(shapes.MovesSerializer({"results": moved}).data)


class AccessView(WriteView):
    scope = "leases"

    @extend_schema(
        operation_id="leases_access_get",
        summary="How to get in",
        responses=shapes.AccessSerializer,
    )
    def get(self, request: Request, lease_id: UUID) -> Response:
        """For the lease's buyer alone; to everybody else there is no such thing."""
        return _access(
            lease_id, selectors.access_details(actor=self.actor, lease_id=lease_id, now=clock.now())
        )

    @extend_schema(
        operation_id="leases_access_put",
        summary="Say how the buyer gets in",
        request=shapes.AccessInput,
        responses={204: None},
        examples=[
            OpenApiExample(
                "A login",
                request_only=True,
                value={"details": {"host": "10.20.0.7", "user": "tenant", "token": "s3cret"}},
            )
        ],
    )
    def put(self, request: Request, lease_id: UUID) -> Response:
        """By the lease's provider. Stored encrypted; only the buyer reads it."""
        services.put_access(
            actor=self.actor,
            lease_id=lease_id,
            details=self.body(shapes.AccessInput)["details"],
            now=clock.now(),
        )
        return Response(status=204)


def _access(lease_id: UUID, details: dict[str, str]) -> Response:
    answer = Response(shapes.AccessSerializer({"lease_id": lease_id, "details": details}).data)
    answer["Cache-Control"] = "no-store"
    return answer
