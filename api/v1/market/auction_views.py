"""The day-ahead call auction: times, orders, offers, results, certificates."""

from __future__ import annotations

from uuid import UUID

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from api.paging import paged
from api.serializers import EmptyInput
from api.v1.market import auction_serializers as shapes
from api.views import ApiView, WriteView
from core import clock
from core.errors import NotFound
from exchange.market.day_ahead import gate, selectors, services
from exchange.market.day_ahead.models import AuctionEntry, EntrySide
from exchange.market.day_ahead.outcome import outcome

_ORDER_EXAMPLE = OpenApiExample(
    "Eight accelerators for two hours, all or nothing, and a few more where they are cheap",
    value={
        "grade": "intelligent.ascend-910b.1",
        "zone": "zhengzhou",
        "lines": [
            {
                "kind": "block",
                "price_per_unit_hour": "12.50",
                "slots": [
                    {"start_at": "2026-11-24T02:00:00Z", "units": 8},
                    {"start_at": "2026-11-24T03:00:00Z", "units": 8},
                ],
            },
            {
                "price_per_unit_hour": "6.00",
                "slots": [{"start_at": "2026-11-24T03:00:00Z", "units": 4}],
            },
        ],
    },
    request_only=True,
)


class _EntriesView(WriteView):
    """Orders or offers."""

    side: EntrySide
    shape: type[BaseSerializer]

    def found(self, entry_id: UUID) -> AuctionEntry:
        """One's own; ``NotFound`` where it is another's."""
        entry = selectors.entries_visible_to(self.actor, self.side).filter(id=entry_id).first()
        if entry is None:
            noun = "order" if self.side == EntrySide.BUY else "offer"
            raise NotFound(f"There is no such {noun}.")
        return entry

    def shown(self, entry_id: UUID, status: int = 200) -> Response:
        """As it stands now."""
        return Response(self.shape(self.found(entry_id)).data, status=status)

    def own(self, auction_id: UUID) -> Response:
        """One's own, the newest first."""
        selectors.auction(auction_id)
        entries = selectors.entries_visible_to(self.actor, self.side).filter(auction=auction_id)
        return self.page(entries, self.shape)

    def cancelled(self, entry_id: UUID) -> Response:
        """Taken out while the gate is open."""
        self.body(EmptyInput)
        services.cancel_entry(actor=self.actor, entry_id=entry_id, side=self.side, now=clock.now())
        return self.shown(entry_id)


class _OrdersView(_EntriesView):
    scope = "orders"
    side = EntrySide.BUY
    shape = shapes.AuctionOrderSerializer


class _OffersView(_EntriesView):
    scope = "offers"
    side = EntrySide.SELL
    shape = shapes.AuctionOfferSerializer


class AuctionsView(WriteView):
    scope = "orders:read"

    @extend_schema(
        operation_id="auctions_list",
        summary="Auctions",
        parameters=[shapes.AuctionsQuery],
        responses=paged(shapes.AuctionSerializer),
    )
    def get(self, request: Request) -> Response:
        """Day-ahead auctions with their times, the newest first."""
        found = selectors.auctions().filter(**self.query(shapes.AuctionsQuery))
        return self.page(found, shapes.AuctionSerializer)

    @extend_schema(
        operation_id="auctions_announce",
        summary="Announce an auction by hand",
        request=shapes.AuctionTimesInput,
        responses={201: shapes.AuctionSerializer},
    )
    def post(self, request: Request) -> Response:
        """For the operator: hold an auction that the timetable does not, or at other times."""
        checked = self.checked(shapes.AuctionTimesInput)
        auction = services.announce_auction(
            actor=self.actor,
            request=checked.to_request(),
            reason=checked.validated_data["reason"],
            now=clock.now(),
        )
        return Response(shapes.AuctionSerializer(auction).data, status=201)


class AuctionView(ApiView):
    scope = "orders"

    @extend_schema(
        operation_id="auctions_get", summary="An auction", responses=shapes.AuctionSerializer
    )
    def get(self, request: Request, auction_id: UUID) -> Response:
        """One auction with its times."""
        return Response(shapes.AuctionSerializer(selectors.auction(auction_id)).data)


class AuctionCancelView(WriteView):
    scope = "operator"
    operator_roles = ("market",)

    @extend_schema(
        operation_id="auctions_cancel",
        summary="Call an auction off",
        request=shapes.AuctionReasonInput,
        responses=shapes.AuctionSerializer,
    )
    def post(self, request: Request, auction_id: UUID) -> Response:
        """For the operator, before it is published: everything held and reserved is given back."""
        reason = self.body(shapes.AuctionReasonInput)["reason"]
        auction = gate.cancel_auction(
            actor=self.actor, auction_id=auction_id, reason=reason, now=clock.now()
        )
        return Response(shapes.AuctionSerializer(auction).data)


class AuctionResultView(ApiView):
    scope = "orders"

    @extend_schema(
        operation_id="auctions_result",
        summary="The result of an auction",
        responses=shapes.AuctionResultSerializer,
    )
    def get(self, request: Request, auction_id: UUID) -> Response:
        """Prices, volumes, flows, blocks that were not accepted and why; without names."""
        auction = selectors.published(auction_id)
        said = auction.result.certificate
        public = outcome(auction.problem.document, said)
        shown = {
            "auction_id": auction.id,
            "delivery_date": auction.delivery_date,
            "prices": public.prices,
            "flows": public.flows,
            "blocks": public.blocks,
        }
        shown |= {
            name: said[name]
            for name in (
                "method",
                "note",
                "solver",
                "seconds",
                "solver_seconds",
                "gap",
                "objective_micro",
                "bound_micro",
                "problem_sha256",
            )
        }
        return Response(shapes.AuctionResultSerializer(shown | said["totals"]).data)


class AuctionProblemView(ApiView):
    scope = "orders"

    @extend_schema(
        operation_id="auctions_problem",
        summary="The problem of an auction",
        responses={200: OpenApiTypes.OBJECT},
    )
    def get(self, request: Request, auction_id: UUID) -> Response:
        """What was asked, with tokens for names: with the certificate, all that the checker needs.

        `python -m exchange.market.auction.checker problem.json certificate.json`
        """
        return Response(selectors.published(auction_id).problem.document)


class AuctionCertificateView(ApiView):
    scope = "orders"

    @extend_schema(
        operation_id="auctions_certificate",
        summary="The certificate of an auction",
        responses={200: OpenApiTypes.OBJECT},
    )
    def get(self, request: Request, auction_id: UUID) -> Response:
        """What was answered; it names its problem by SHA-256. Your lines' tokens stand in your
        orders and offers."""
        return Response(selectors.published(auction_id).result.certificate)


class AuctionOrdersView(_OrdersView):
    @extend_schema(
        operation_id="auction_orders_list",
        summary="Your orders in an auction",
        responses=paged(shapes.AuctionOrderSerializer),
    )
    def get(self, request: Request, auction_id: UUID) -> Response:
        """Your orders in an auction, with what they got once it is published."""
        return self.own(auction_id)

    @extend_schema(
        operation_id="auction_orders_place",
        summary="Place an order in an auction",
        request=shapes.AuctionOrderInput,
        responses={201: shapes.AuctionOrderSerializer},
        examples=[_ORDER_EXAMPLE],
    )
    def post(self, request: Request, auction_id: UUID) -> Response:
        """Enter an order while the gate is open; the most that it can come to is held."""
        entry = services.place_order(
            actor=self.actor,
            auction_id=auction_id,
            request=self.checked(shapes.AuctionOrderInput).to_request(),
            now=clock.now(),
        )
        return self.shown(entry.id, 201)


class AuctionOrderView(_OrdersView):
    @extend_schema(
        operation_id="auction_orders_get",
        summary="An order in an auction",
        responses=shapes.AuctionOrderSerializer,
    )
    def get(self, request: Request, auction_order_id: UUID) -> Response:
        """One of your orders."""
        return self.shown(auction_order_id)


class AuctionOrderReplaceView(_OrdersView):
    @extend_schema(
        operation_id="auction_orders_replace",
        summary="Replace an order in an auction",
        request=shapes.AuctionOrderInput,
        responses={201: shapes.AuctionOrderSerializer},
    )
    def post(self, request: Request, auction_order_id: UUID) -> Response:
        """Take an order out and enter another in its place, all or nothing."""
        entry = services.replace_order(
            actor=self.actor,
            entry_id=auction_order_id,
            request=self.checked(shapes.AuctionOrderInput).to_request(),
            now=clock.now(),
        )
        return self.shown(entry.id, 201)


class AuctionOrderCancelView(_OrdersView):
    @extend_schema(
        operation_id="auction_orders_cancel",
        summary="Cancel an order in an auction",
        request=EmptyInput,
        responses=shapes.AuctionOrderSerializer,
    )
    def post(self, request: Request, auction_order_id: UUID) -> Response:
        """Take an order out while the gate is open; its hold is free at once."""
        return self.cancelled(auction_order_id)


class AuctionOffersView(_OffersView):
    @extend_schema(
        operation_id="auction_offers_list",
        summary="Your offers in an auction",
        responses=paged(shapes.AuctionOfferSerializer),
    )
    def get(self, request: Request, auction_id: UUID) -> Response:
        """Your offers in an auction, with what was reserved and accepted of them."""
        return self.own(auction_id)

    @extend_schema(
        operation_id="auction_offers_make",
        summary="Make an offer in an auction",
        request=shapes.AuctionOfferInput,
        responses={201: shapes.AuctionOfferSerializer},
    )
    def post(self, request: Request, auction_id: UUID) -> Response:
        """Enter an offer of a pool; what is free of it is reserved when the gate closes."""
        entry = services.make_offer(
            actor=self.actor,
            auction_id=auction_id,
            request=self.checked(shapes.AuctionOfferInput).to_request(),
            now=clock.now(),
        )
        return self.shown(entry.id, 201)


class AuctionOfferView(_OffersView):
    @extend_schema(
        operation_id="auction_offers_get",
        summary="An offer in an auction",
        responses=shapes.AuctionOfferSerializer,
    )
    def get(self, request: Request, auction_offer_id: UUID) -> Response:
        """One of your offers."""
        return self.shown(auction_offer_id)


class AuctionOfferReplaceView(_OffersView):
    @extend_schema(
        operation_id="auction_offers_replace",
        summary="Replace an offer in an auction",
        request=shapes.AuctionOfferInput,
        responses={201: shapes.AuctionOfferSerializer},
    )
    def post(self, request: Request, auction_offer_id: UUID) -> Response:
        """Take an offer out and enter another in its place, all or nothing."""
        entry = services.replace_offer(
            actor=self.actor,
            entry_id=auction_offer_id,
            request=self.checked(shapes.AuctionOfferInput).to_request(),
            now=clock.now(),
        )
        return self.shown(entry.id, 201)


class AuctionOfferCancelView(_OffersView):
    @extend_schema(
        operation_id="auction_offers_cancel",
        summary="Cancel an offer in an auction",
        request=EmptyInput,
        responses=shapes.AuctionOfferSerializer,
    )
    def post(self, request: Request, auction_offer_id: UUID) -> Response:
        """Take an offer out while the gate is open."""
        return self.cancelled(auction_offer_id)


class AuctionSchedulesView(WriteView):
    scope = "operator"
    operator_roles = ("market", "settlement_clerk", "settlement_approver", "auditor")

    @extend_schema(
        operation_id="auction_schedules_list",
        summary="Versions of the auctions' timetable",
        responses=paged(shapes.AuctionScheduleSerializer),
    )
    def get(self, request: Request) -> Response:
        """All versions, the newest first; the newest that holds for a delivery day counts."""
        return self.page(selectors.schedules(), shapes.AuctionScheduleSerializer)

    @extend_schema(
        operation_id="auction_schedules_set",
        summary="Set the auctions' timetable",
        request=shapes.AuctionScheduleInput,
        responses={201: shapes.AuctionScheduleSerializer},
    )
    def post(self, request: Request) -> Response:
        """A new version. What is announced already keeps its times."""
        schedule = services.set_schedule(
            actor=self.actor,
            request=self.checked(shapes.AuctionScheduleInput).to_request(),
            now=clock.now(),
        )
        return Response(shapes.AuctionScheduleSerializer(schedule).data, status=201)


class AuctionLinksView(ApiView):
    scope = "orders"

    @extend_schema(
        operation_id="auction_links_list",
        summary="What links carry in auctions",
        responses=paged(shapes.AuctionLinkSerializer),
    )
    def get(self, request: Request) -> Response:
        """Units each way by hour of the delivery day, and the price; other links carry nothing."""
        return self.page(selectors.links(), shapes.AuctionLinkSerializer, order="link_id")


class AuctionLinkView(WriteView):
    scope = "operator"
    operator_roles = ("market",)

    @extend_schema(
        operation_id="auction_links_set",
        summary="Say what a link carries in auctions",
        request=shapes.AuctionLinkInput,
        responses=shapes.AuctionLinkSerializer,
    )
    def put(self, request: Request, link_id: int) -> Response:
        """From the next closing of a gate on."""
        wanted = self.checked(shapes.AuctionLinkInput).to_request(link_id)
        link = services.set_link(actor=self.actor, request=wanted, now=clock.now())
        return Response(shapes.AuctionLinkSerializer(link).data)
