"""Unified trading: offers, orders, trades, market data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from api.paging import paged
from api.serializers import EmptyInput
from api.v1.market import amending, previewing
from api.v1.market import serializers as shapes
from api.views import ApiView, WriteView
from core import clock
from core.errors import NotFound
from exchange.capacity.models import Book
from exchange.market import preview, selectors, services
from exchange.market.models import Offer, Order

_ORDER_EXAMPLE = OpenApiExample(
    "Eight accelerators for six hours",
    value={
        "grades": [
            {"grade": "intelligent.ascend-910b.1", "limit_price_per_unit_hour": "12.50"},
        ],
        "units": 8,
        "duration_hours": 6,
        "latest_end_at": "2026-11-25T00:00:00Z",
        "placement": "same_centre",
        "max_rtt_ms": "5",
        "rtt_region": "zhengzhou",
    },
    request_only=True,
)
_OFFER_EXAMPLE = OpenApiExample(
    "A pool for three days",
    value={
        "pool": "01980000-0000-7000-8000-000000000001",
        "units": 192,
        "start_at": "2026-11-24T00:00:00Z",
        "end_at": "2026-11-27T00:00:00Z",
        "prices": ["9.80"],
    },
    request_only=True,
)


def _order(order: Order) -> dict[str, Any]:
    return dict(shapes.OrderSerializer(order).data)


class OrdersView(WriteView):
    scope = "orders"

    @extend_schema(
        operation_id="orders_list",
        summary="Your orders",
        parameters=[shapes.OrdersQuery],
        responses=paged(shapes.OrderSerializer),
    )
    def get(self, request: Request) -> Response:
        """Your orders, the newest first."""
        orders = selectors.orders_visible_to(self.actor).filter(**self.query(shapes.OrdersQuery))
        return self.page(orders, shapes.OrderSerializer)

    @extend_schema(
        operation_id="orders_place",
        summary="Place an order",
        request=shapes.OrderInput,
        responses={201: shapes.OrderSerializer},
        examples=[_ORDER_EXAMPLE],
    )
    def post(self, request: Request) -> Response:
        """Place an order: its greatest cost is held, and it waits to be admitted to its book."""
        wanted = self.checked(shapes.OrderInput).to_request()
        order = services.place_order(actor=self.actor, request=wanted, now=clock.now())
        # The request named the grades already: no query for their codes.
        codes = dict(zip(order.grade_ids, (limit.grade for limit in wanted.grades), strict=True))
        shown = shapes.OrderSerializer(order, context={"grade_codes": codes})
        return Response(shown.data, status=201)


class OrderPreviewView(WriteView):
    scope = "orders:read"
    reads_by_post = True

    @extend_schema(
        operation_id="orders_preview",
        summary="Preview an order",
        request=shapes.OrderInput,
        responses=previewing.PreviewSerializer,
        examples=[_ORDER_EXAMPLE],
    )
    def post(self, request: Request) -> Response:
        """What an order would get and cost now, by component, and what stands in its way."""
        quoted = preview.preview_order(
            actor=self.actor, request=self.checked(shapes.OrderInput).to_request(), now=clock.now()
        )
        return Response(previewing.PreviewSerializer(quoted).data)


class OrderExplainView(ApiView):
    scope = "orders"

    @extend_schema(
        operation_id="orders_explain",
        summary="Explain an order",
        responses=previewing.PreviewSerializer,
    )
    def get(self, request: Request, order_id: UUID) -> Response:
        """What would fill the rest of an order now, how many pools each named test turns away,
        and the nearest single changes that would fill it."""
        told = preview.explain_order(actor=self.actor, order_id=order_id, now=clock.now())
        return Response(previewing.PreviewSerializer(told).data)


class OrderView(WriteView):
    scope = "orders"

    @extend_schema(operation_id="orders_get", summary="An order", responses=shapes.OrderSerializer)
    def get(self, request: Request, order_id: UUID) -> Response:
        """One of your orders."""
        order = selectors.orders_visible_to(self.actor).filter(id=order_id).first()
        if order is None:
            raise NotFound("There is no such order.")
        return Response(_order(order))

    @extend_schema(
        operation_id="orders_amend",
        summary="Amend an order",
        request=amending.AmendInput,
        responses={202: amending.AmendmentSerializer},
        examples=[
            OpenApiExample(
                "A higher limit and more units",
                value={
                    "version": 0,
                    "units": 12,
                    "grades": [
                        {"grade": "intelligent.ascend-910b.1", "limit_price_per_unit_hour": "13"}
                    ],
                },
                request_only=True,
            )
        ],
    )
    def patch(self, request: Request, order_id: UUID) -> Response:
        """Ask for other terms of an order.

        Its book takes them in turn: until then the old ones hold, and what is filled meanwhile
        stays filled. What asks only for less keeps its place in the queue. The answer is the
        amendment: `requested`, then `applied`, or `refused` where the order had gone on.
        """
        wanted = self.checked(amending.AmendInput).to_request()
        amendment = services.amend_order(
            actor=self.actor, order_id=order_id, request=wanted, now=clock.now()
        )
        return Response(amending.AmendmentSerializer(amendment).data, status=202)


class OrderAmendmentsView(ApiView):
    scope = "orders"

    @extend_schema(
        operation_id="orders_amendments",
        summary="The versions of an order",
        responses=paged(amending.AmendmentSerializer),
    )
    def get(self, request: Request, order_id: UUID) -> Response:
        """The terms as placed (number 0) and every amendment asked for, the oldest first; empty
        where none ever was."""
        if not selectors.orders_visible_to(self.actor).filter(id=order_id).exists():
            raise NotFound("There is no such order.")
        return self.page(
            selectors.amendments_of(order_id), amending.AmendmentSerializer, order="id"
        )


class OrderCancelView(WriteView):
    scope = "orders"

    @extend_schema(
        operation_id="orders_cancel",
        summary="Cancel an order",
        request=EmptyInput,
        responses={202: shapes.OrderSerializer},
    )
    def post(self, request: Request, order_id: UUID) -> Response:
        """Ask for the rest of an order to be taken out of its book.

        What is filled before the book comes to it stays filled; the order then says `cancelled`.
        """
        self.body(EmptyInput)
        order = services.cancel_order(actor=self.actor, order_id=order_id, now=clock.now())
        return Response(_order(order), status=202)


class OrderTradesView(ApiView):
    scope = "orders"

    @extend_schema(
        operation_id="orders_trades",
        summary="The trades of an order",
        responses=paged(shapes.TradeSerializer),
    )
    def get(self, request: Request, order_id: UUID) -> Response:
        """The trades that filled one of your orders, the oldest first."""
        if not selectors.orders_visible_to(self.actor).filter(id=order_id).exists():
            raise NotFound("There is no such order.")
        trades = selectors.trades_visible_to(self.actor).filter(order=order_id)
        return self.page(trades, shapes.TradeSerializer, order="id")


class TradesView(ApiView):
    scope = "orders"

    @extend_schema(
        operation_id="trades_list",
        summary="Your trades",
        parameters=[shapes.TradesQuery],
        responses=paged(shapes.TradeSerializer),
    )
    def get(self, request: Request) -> Response:
        """Trades in which you are the buyer or the seller, the newest first."""
        query = self.query(shapes.TradesQuery)
        trades = selectors.trades_visible_to(self.actor)
        if "traded_since" in query:
            trades = trades.filter(traded_at__gte=query.pop("traded_since"))
        return self.page(trades.filter(**query), shapes.TradeSerializer)


class TradeResaleView(WriteView):
    scope = "offers"

    @extend_schema(
        operation_id="trades_resell",
        summary="Resell hours of a trade",
        request=shapes.ResaleInput,
        responses={201: shapes.OfferSerializer},
    )
    def post(self, request: Request, trade_id: UUID) -> Response:
        """Offer hours of a trade that you bought, where the provider's offer allows it. The
        provider delivers once, to whoever has the hours then; you stay its debtor, and the new
        holder pays you."""
        wanted = shapes.resale_request(self.body(shapes.ResaleInput))
        offer = services.offer_resale(
            actor=self.actor, trade_id=trade_id, request=wanted, now=clock.now()
        )
        return Response(shapes.OfferSerializer(offer).data, status=201)


class OffersView(WriteView):
    scope = "offers"

    @extend_schema(
        operation_id="offers_list",
        summary="Your offers",
        parameters=[shapes.OffersQuery],
        responses=paged(shapes.OfferSerializer),
    )
    def get(self, request: Request) -> Response:
        """Your offers, the newest first."""
        offers = selectors.offers_visible_to(self.actor).filter(**self.query(shapes.OffersQuery))
        return self.page(offers, shapes.OfferSerializer)

    @extend_schema(
        operation_id="offers_create",
        summary="Offer capacity",
        request=shapes.OfferInput,
        responses={201: shapes.OfferSerializer},
        examples=[_OFFER_EXAMPLE],
    )
    def post(self, request: Request) -> Response:
        """Offer units of one of your pools."""
        wanted = shapes.offer_request(self.body(shapes.OfferInput))
        (offer,) = services.create_offers(actor=self.actor, requests=[wanted], now=clock.now())
        return Response(shapes.OfferSerializer(offer).data, status=201)


class OffersBatchView(WriteView):
    scope = "offers"

    @extend_schema(
        operation_id="offers_create_batch",
        summary="Offer capacity of many pools",
        request=shapes.OffersInput,
        responses={201: shapes.OffersSerializer},
    )
    def post(self, request: Request) -> Response:
        """Up to 1,000 offers, all or none; every bad one is named."""
        wanted = [shapes.offer_request(offer) for offer in self.body(shapes.OffersInput)["offers"]]
        offers = services.create_offers(actor=self.actor, requests=wanted, now=clock.now())
        return Response(shapes.OffersSerializer({"offers": offers}).data, status=201)


class OfferView(WriteView):
    scope = "offers"

    @extend_schema(operation_id="offers_get", summary="An offer", responses=shapes.OfferSerializer)
    def get(self, request: Request, offer_id: UUID) -> Response:
        """One of your offers, as its book knows it."""
        offer = selectors.offers_visible_to(self.actor).filter(id=offer_id).first()
        if offer is None:
            raise NotFound("There is no such offer.")
        return Response(shapes.OfferSerializer(offer).data)

    @extend_schema(
        operation_id="offers_change",
        summary="Change an offer",
        request=shapes.OfferChangeInput,
        responses={202: shapes.OfferSerializer},
    )
    def patch(self, request: Request, offer_id: UUID) -> Response:
        """Ask for new terms; the old ones hold until the book has taken them."""
        changes = self.checked(shapes.OfferChangeInput).changes()
        offer = services.change_offer(
            actor=self.actor, offer_id=offer_id, changes=changes, now=clock.now()
        )
        return Response(shapes.OfferSerializer(offer).data, status=202)


_MOVED: dict[str, Any] = {"request": EmptyInput, "responses": {202: shapes.OfferSerializer}}


def _moved(view: WriteView, verb: Callable[..., Offer], offer_id: UUID) -> Response:
    """Ask for a transition; the answer is the offer as its book still knows it."""
    view.body(EmptyInput)
    offer = verb(actor=view.actor, offer_id=offer_id, now=clock.now())
    return Response(shapes.OfferSerializer(offer).data, status=202)


class OfferPauseView(WriteView):
    scope = "offers"

    @extend_schema(operation_id="offers_pause", summary="Pause an offer", **_MOVED)
    def post(self, request: Request, offer_id: UUID) -> Response:
        """Take an offer out of the market for a while; what is sold stays sold."""
        return _moved(self, services.pause_offer, offer_id)


class OfferResumeView(WriteView):
    scope = "offers"

    @extend_schema(operation_id="offers_resume", summary="Resume an offer", **_MOVED)
    def post(self, request: Request, offer_id: UUID) -> Response:
        """Put a paused offer back, with a new place in the queue."""
        return _moved(self, services.resume_offer, offer_id)


class OfferWithdrawView(WriteView):
    scope = "offers"

    @extend_schema(operation_id="offers_withdraw", summary="Withdraw an offer", **_MOVED)
    def post(self, request: Request, offer_id: UUID) -> Response:
        """Take an offer out for good; what is sold stays sold."""
        return _moved(self, services.withdraw_offer, offer_id)


class BooksView(ApiView):
    public = True

    @extend_schema(
        operation_id="market_books",
        summary="The books",
        responses=paged(shapes.BookSerializer),
    )
    def get(self, request: Request) -> Response:
        """The books, and the grades traded in each."""
        return self.page(Book.objects.prefetch_related("grades"), shapes.BookSerializer, order="id")


class BestPricesView(ApiView):
    scope = "orders"

    @extend_schema(
        operation_id="market_best_prices",
        summary="Best prices",
        parameters=[shapes.ScopeQuery],
        responses=shapes.BestPricesSerializer,
    )
    def get(self, request: Request) -> Response:
        """The lowest offer for the present hour and the highest limit, by grade and region."""
        query = self.query(shapes.ScopeQuery)
        now = clock.now()
        best = selectors.best_prices(at=now, grade=query.get("grade"), region=query.get("region"))
        return Response(shapes.BestPricesSerializer({"at": now, "results": best}).data)


class DepthView(ApiView):
    scope = "orders"

    @extend_schema(
        operation_id="market_depth",
        summary="Depth",
        parameters=[shapes.DepthQuery],
        responses=shapes.DepthSerializer,
    )
    def get(self, request: Request) -> Response:
        """Units at each price of a grade: offers for the present hour, or over a range of hours
        (what they have in all of them, at their mean price), and resting limits."""
        query = self.query(shapes.DepthQuery)
        now = clock.now()
        levels = selectors.depth(
            at=now,
            grade=query["grade"],
            region=query.get("region"),
            levels=query["levels"],
            slots=query["slots"],
        )
        shown = {"at": now, "grade": query["grade"], "region": query.get("region")}
        return Response(shapes.DepthSerializer(shown | {"levels": levels}).data)


class LastTradesView(ApiView):
    scope = "orders"

    @extend_schema(
        operation_id="market_trades",
        summary="Last trades",
        parameters=[shapes.ScopeQuery],
        responses=paged(shapes.PublicTradeSerializer),
    )
    def get(self, request: Request) -> Response:
        """Everybody's trades without names, the newest first."""
        query = self.query(shapes.ScopeQuery)
        trades = selectors.last_trades(grade=query.get("grade"), region=query.get("region"))
        return self.page(trades, shapes.PublicTradeSerializer)


class StatisticsView(ApiView):
    scope = "operator"
    operator_roles = ("market", "settlement_clerk", "settlement_approver", "auditor")

    @extend_schema(
        operation_id="market_statistics",
        summary="Utilisation",
        parameters=[shapes.StatisticsQuery],
        responses=shapes.StatisticsSerializer,
    )
    def get(self, request: Request) -> Response:
        """Sold against registered unit-hours by city and class; for the operator."""
        query = self.query(shapes.StatisticsQuery)
        found = selectors.utilisation(from_slot=query["from_at"], to_slot=query["to_at"])
        return Response(shapes.StatisticsSerializer(query | {"utilisation": found}).data)
