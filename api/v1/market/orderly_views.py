"""A fair and orderly market: index and status for members, the operator's verbs and figures."""

from __future__ import annotations

from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from api.paging import paged
from api.v1.market import orderly_serializers as shapes
from api.views import ApiView, WriteView
from core import clock
from exchange.market.orderly import selectors, services

_OPERATOR = ("market", "settlement_clerk", "settlement_approver", "auditor")


class IndexView(ApiView):
    scope = "orders"

    @extend_schema(
        operation_id="market_index",
        summary="The reference index",
        parameters=[shapes.IndexQuery],
        responses=paged(shapes.IndexHourSerializer),
    )
    def get(self, request: Request) -> Response:
        """The volume-weighted price of a grade in each region by hour, the newest hour first.

        Published once the hour is over, and never corrected.
        """
        query = self.query(shapes.IndexQuery)
        hours = selectors.index_hours(
            grade=query["grade"],
            region=query.get("region"),
            from_slot=query.get("from"),
            to_slot=query.get("to"),
        )
        return self.page(hours, shapes.IndexHourSerializer)


class StatusView(ApiView):
    scope = "orders"

    @extend_schema(
        operation_id="market_status",
        summary="What is open, and what is halted",
        responses=shapes.StatusSerializer,
    )
    def get(self, request: Request) -> Response:
        """Each book with its price band, and the halts that were not resumed."""
        shown = {"books": selectors.books(), "halts": selectors.live_halts()}
        return Response(shapes.StatusSerializer(shown).data)


class HaltsView(WriteView):
    scope = "operator"
    operator_roles = _OPERATOR

    @extend_schema(
        operation_id="market_halts_list",
        summary="All halts",
        responses=paged(shapes.HaltSerializer),
    )
    def get(self, request: Request) -> Response:
        """All halts, the newest first; for the operator."""
        return self.page(selectors.halts(), shapes.HaltSerializer)

    @extend_schema(
        operation_id="market_halt",
        summary="Halt trading",
        request=shapes.HaltInput,
        responses={201: shapes.HaltSerializer},
    )
    def post(self, request: Request) -> Response:
        """Halt a book, or a region in every book, from the next batch on.

        Orders and offers are still taken, and may be cancelled; nothing is matched.
        """
        wanted = self.body(shapes.HaltInput)
        halt = services.halt_trading(
            actor=self.actor,
            book_code=wanted["book"],
            region_code=wanted["region"],
            reason=wanted["reason"],
            now=clock.now(),
        )
        return Response(shapes.HaltSerializer(halt).data, status=201)


class ResumeView(WriteView):
    scope = "operator"
    operator_roles = ("market",)

    @extend_schema(
        operation_id="market_resume",
        summary="Resume trading",
        request=shapes.ResumeInput,
        responses=shapes.HaltSerializer,
    )
    def post(self, request: Request, halt_id: UUID) -> Response:
        """Let trading go on: what rests is matched with the next batch."""
        wanted = self.body(shapes.ResumeInput)
        halt = services.resume_trading(
            actor=self.actor, halt_id=halt_id, reason=wanted["reason"], now=clock.now()
        )
        return Response(shapes.HaltSerializer(halt).data)


class BookRulesView(WriteView):
    scope = "operator"
    operator_roles = ("market",)

    @extend_schema(
        operation_id="market_book_rules",
        summary="Set the rules of a book",
        request=shapes.BookRulesInput,
        responses=shapes.BookRulesSerializer,
    )
    def put(self, request: Request, book_code: str) -> Response:
        """The price band around the index, and the least volume of an hour's index."""
        book = services.set_book_rules(
            actor=self.actor,
            book_code=book_code,
            now=clock.now(),
            **self.body(shapes.BookRulesInput),
        )
        return Response(shapes.BookRulesSerializer(book).data)


class OrderLimitView(WriteView):
    scope = "operator"
    operator_roles = ("market",)

    @extend_schema(
        operation_id="market_order_limit",
        summary="Limit the live orders of an organisation",
        request=shapes.OrderLimitInput,
        responses=shapes.OrderLimitSerializer,
    )
    def put(self, request: Request, organisation_id: UUID) -> Response:
        """A limit of its own instead of the general one; null takes it back."""
        limit = services.limit_open_orders(
            actor=self.actor,
            organisation_id=organisation_id,
            now=clock.now(),
            **self.body(shapes.OrderLimitInput),
        )
        shown = {"organisation_id": organisation_id, "open_orders": limit}
        return Response(shapes.OrderLimitSerializer(shown).data)


class ConcentrationView(ApiView):
    scope = "operator"
    operator_roles = _OPERATOR

    @extend_schema(
        operation_id="market_concentration",
        summary="Concentration of supply",
        responses=shapes.SuppliesSerializer,
    )
    def get(self, request: Request) -> Response:
        """The largest providers of each grade and the Herfindahl-Hirschman index: of registered
        units, and of those that are free in this hour; for the operator."""
        now = clock.now()
        found = selectors.supply_concentration(actor=self.actor, at=now)
        return Response(shapes.SuppliesSerializer({"at": now, "results": found}).data)
