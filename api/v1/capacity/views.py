"""Unified access: reference data, centres, pools, the bulk import and the search."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from api.paging import paged
from api.parsing import CSVTextParser, StrictJSONParser
from api.serializers import EmptyInput
from api.v1.capacity import serializers as shapes
from api.v1.capacity.offers_of_import import create_offers_for
from api.views import ApiView, WriteView
from core import clock
from core.errors import NotFound
from core.money import to_decimal
from core.slots import slot_of
from exchange.capacity import importing, selectors, services
from exchange.capacity.import_rows import read_csv, read_json
from exchange.capacity.models import Pool
from exchange.capacity.rules import CentreTerms, PoolTerms
from exchange.capacity.search import CapacityQuery, search_capacity
from exchange.topology import selectors as topology
from exchange.topology import services as topology_services

_CENTRE_EXAMPLE = OpenApiExample(
    "A centre in Zhengzhou",
    value={
        "code": "zhengzhou-ai-1",
        "name": "嵩岳郑州智算一号",
        "region": "zhengzhou",
        "standard_racks": 260,
        "pue": "1.190",
        "green_share": "0.4200",
    },
    request_only=True,
)
_CSV_EXAMPLE = OpenApiExample(
    "A file",
    value=(
        "kind,code,name,region,standard_racks,pue,green_share,centre,grade,units,pool,"
        "start_at,end_at,prices\n"
        "centre,zz-1,Zhengzhou One,zhengzhou,260,1.19,0.42,,,,,,,\n"
        "pool,npu-1,,,,,,zz-1,intelligent.ascend-910b.1,192,,,,\n"
        "offer,,,,,,,zz-1,,192,npu-1,2026-11-24T00:00:00Z,2026-11-27T00:00:00Z,5.06\n"
    ),
    media_type="text/csv",
    request_only=True,
)


class RegionsView(ApiView):
    public = True

    @extend_schema(
        operation_id="regions_list",
        summary="The region tree",
        responses=paged(shapes.RegionSerializer),
    )
    def get(self, request: Request) -> Response:
        """The region tree: country, provinces, cities, with their roles in the plan."""
        return self.page(topology.regions(), shapes.RegionSerializer, order="code")


class LinksView(ApiView):
    public = True

    @extend_schema(
        operation_id="links_list",
        summary="Links between regions",
        responses=paged(shapes.LinkSerializer),
    )
    def get(self, request: Request) -> Response:
        """Network paths between regions: round-trip time, bandwidth, price per GB."""
        return self.page(topology.links(), shapes.LinkSerializer, order="id")


class LinkView(WriteView):
    scope = "operator"
    operator_roles = ("market",)

    @extend_schema(
        operation_id="links_change",
        summary="Change a link",
        request=shapes.LinkChangeInput,
        responses=shapes.LinkSerializer,
    )
    def patch(self, request: Request, link_id: int) -> Response:
        """Change carrier, bandwidth, price or opening of a link; for the operator."""
        values = self.body(shapes.LinkChangeInput)
        if "price_per_gb" in values:
            values["price_per_gb"] = to_decimal(values["price_per_gb"])
        link = topology_services.change_link(
            actor=self.actor,
            link_id=link_id,
            change=topology_services.LinkChange(**values),
            now=clock.now(),
        )
        return Response(shapes.LinkSerializer(link).data)


class DeviceModelsView(ApiView):
    public = True

    @extend_schema(
        operation_id="device_models_list",
        summary="The catalogue of devices",
        responses=paged(shapes.DeviceModelSerializer),
    )
    def get(self, request: Request) -> Response:
        """The catalogue of accelerators and processors, each figure with its source."""
        return self.page(selectors.device_models(), shapes.DeviceModelSerializer, order="code")


class GradesView(ApiView):
    public = True

    @extend_schema(
        operation_id="grades_list",
        summary="The grades",
        parameters=[shapes.GradeQuery],
        responses=paged(shapes.GradeSerializer),
    )
    def get(self, request: Request) -> Response:
        """The standardised instruments, and the books that they are traded in."""
        return self.page(
            selectors.grades().filter(**self.query(shapes.GradeQuery)),
            shapes.GradeSerializer,
            order="id",
        )


class CentresView(WriteView):
    scope = "capacity"

    @extend_schema(
        operation_id="centres_list",
        summary="Your centres",
        parameters=[shapes.CentreQuery],
        responses=paged(shapes.CentreSerializer),
    )
    def get(self, request: Request) -> Response:
        """Your centres, the oldest first."""
        query = self.query(shapes.CentreQuery)
        centres = selectors.centres_visible_to(self.actor)
        if "region" in query:
            centres = centres.filter(region_id__in=topology.subtree(query["region"]))
        if query["is_reachable"] is not None:
            centres = centres.filter(is_reachable=query["is_reachable"])
        return self.page(centres, shapes.CentreSerializer, order="id")

    @extend_schema(
        operation_id="centres_register",
        summary="Register a centre",
        request=shapes.CentreInput,
        responses={201: shapes.CentreSerializer},
        examples=[_CENTRE_EXAMPLE],
    )
    def post(self, request: Request) -> Response:
        """Register a centre."""
        centre = services.register_centre(
            actor=self.actor,
            centre=CentreTerms(**self.body(shapes.CentreInput)),
            now=clock.now(),
        )
        return Response(shapes.CentreSerializer(centre).data, status=201)


class CentreView(WriteView):
    scope = "capacity"

    @extend_schema(
        operation_id="centres_get", summary="A centre", responses=shapes.CentreSerializer
    )
    def get(self, request: Request, centre_id: UUID) -> Response:
        """One of your centres."""
        centre = selectors.centres_visible_to(self.actor).filter(id=centre_id).first()
        if centre is None:
            raise NotFound("There is no such centre.")
        return Response(shapes.CentreSerializer(centre).data)

    @extend_schema(
        operation_id="centres_change",
        summary="Change a centre",
        request=shapes.CentreChangeInput,
        responses=shapes.CentreSerializer,
    )
    def patch(self, request: Request, centre_id: UUID) -> Response:
        """Change name, racks, PUE or green share."""
        centre = services.change_centre(
            actor=self.actor,
            centre_id=centre_id,
            changes=self.body(shapes.CentreChangeInput),
            now=clock.now(),
        )
        return Response(shapes.CentreSerializer(centre).data)


class CentreHoursView(WriteView):
    scope = "capacity"

    @extend_schema(
        operation_id="centre_hours_list",
        summary="Power price and green share by hour",
        parameters=[shapes.HoursQuery],
        responses=shapes.HoursSerializer,
    )
    def get(self, request: Request, centre_id: UUID) -> Response:
        """Power price and green share by hour."""
        query = self.query(shapes.HoursQuery)
        centre = selectors.centres_visible_to(self.actor).filter(id=centre_id).first()
        if centre is None:
            raise NotFound("There is no such centre.")
        hours = selectors.hours_of(centre, from_slot=query["from_at"], to_slot=query["to_at"])
        return Response(shapes.HoursSerializer({"hours": hours}).data)

    @extend_schema(
        operation_id="centre_hours_set",
        summary="Set power price and green share",
        request=shapes.HoursInput,
        responses=shapes.HoursSerializer,
    )
    def put(self, request: Request, centre_id: UUID) -> Response:
        """Set power price and green share of some hours; hours not named stay."""
        hours = [
            services.HourTerms(
                slot=hour["start_at"],
                power_price_per_kwh=to_decimal(hour["power_price_per_kwh"]),
                green_share=hour["green_share"],
            )
            for hour in self.body(shapes.HoursInput)["hours"]
        ]
        services.set_centre_hours(
            actor=self.actor, centre_id=centre_id, hours=hours, now=clock.now()
        )
        return Response(shapes.HoursSerializer({"hours": hours}).data)


class HeartbeatView(WriteView):
    scope = "capacity"

    @extend_schema(
        operation_id="centres_heartbeat",
        summary="Send a heartbeat",
        request=shapes.HeartbeatInput,
        responses=shapes.HeartbeatSerializer,
    )
    def post(self, request: Request, centre_id: UUID) -> Response:
        """Say that a centre is alive, and how its pools are."""
        now = clock.now()
        reports = [
            services.PoolReport(**r) for r in self.body(shapes.HeartbeatInput).get("pools", [])
        ]
        result = services.heartbeat(actor=self.actor, centre_id=centre_id, reports=reports, now=now)
        answer = {
            "received_at": now,
            "was_unreachable": result.was_unreachable,
            "changed_pools": len(result.changed),
        }
        return Response(shapes.HeartbeatSerializer(answer).data)


class PoolsView(WriteView):
    scope = "capacity"

    @extend_schema(
        operation_id="pools_list",
        summary="Your pools",
        parameters=[shapes.PoolQuery],
        responses=paged(shapes.PoolSerializer),
    )
    def get(self, request: Request) -> Response:
        """Your pools, the oldest first."""
        query = self.query(shapes.PoolQuery)
        pools = selectors.pools_visible_to(self.actor).select_related("grade", "centre")
        if "centre_id" in query:
            pools = pools.filter(centre_id=query["centre_id"])
        if "grade" in query:
            pools = pools.filter(grade__code=query["grade"])
        return self.page(pools, shapes.PoolSerializer, order="id")

    @extend_schema(
        operation_id="pools_register",
        summary="Register a pool",
        request=shapes.PoolInput,
        responses={201: shapes.PoolSerializer},
    )
    def post(self, request: Request) -> Response:
        """Register a pool in one of your centres."""
        values = self.body(shapes.PoolInput)
        pool = services.register_pool(
            actor=self.actor,
            centre_id=values.pop("centre_id"),
            pool=PoolTerms(**values),
            now=clock.now(),
        )
        return Response(shapes.PoolSerializer(pool).data, status=201)


class PoolView(WriteView):
    scope = "capacity"

    @extend_schema(operation_id="pools_get", summary="A pool", responses=shapes.PoolSerializer)
    def get(self, request: Request, pool_id: UUID) -> Response:
        """One of your pools."""
        pools = selectors.pools_visible_to(self.actor).select_related("grade", "centre")
        pool = pools.filter(id=pool_id).first()
        if pool is None:
            raise NotFound("There is no such pool.")
        return Response(shapes.PoolSerializer(pool).data)

    @extend_schema(
        operation_id="pools_change",
        summary="Change a pool",
        request=shapes.PoolChangeInput,
        responses=shapes.PoolSerializer,
    )
    def patch(self, request: Request, pool_id: UUID) -> Response:
        """Change registered units, available units or health.

        Registered units never go below what is sold; lower availability only limits new sales.
        """
        pool = services.change_pool(
            actor=self.actor,
            pool_id=pool_id,
            now=clock.now(),
            **self.body(shapes.PoolChangeInput),
        )
        return Response(shapes.PoolSerializer(pool).data)


_MOVED: dict[str, Any] = {"request": EmptyInput, "responses": shapes.PoolSerializer}


def _moved(view: WriteView, verb: Callable[..., Pool], pool_id: UUID) -> Response:
    """The pool after ``verb``."""
    view.body(EmptyInput)
    pool = verb(actor=view.actor, pool_id=pool_id, now=clock.now())
    return Response(shapes.PoolSerializer(pool).data)


class PausePoolView(WriteView):
    scope = "capacity"

    @extend_schema(operation_id="pools_pause", summary="Pause a pool", **_MOVED)
    def post(self, request: Request, pool_id: UUID) -> Response:
        """Sell nothing new of a pool; what is sold is delivered."""
        return _moved(self, services.pause_pool, pool_id)


class ResumePoolView(WriteView):
    scope = "capacity"

    @extend_schema(operation_id="pools_resume", summary="Resume a pool", **_MOVED)
    def post(self, request: Request, pool_id: UUID) -> Response:
        """Sell from a paused pool again."""
        return _moved(self, services.resume_pool, pool_id)


class WithdrawPoolView(WriteView):
    scope = "capacity"

    @extend_schema(operation_id="pools_withdraw", summary="Withdraw a pool", **_MOVED)
    def post(self, request: Request, pool_id: UUID) -> Response:
        """Take a pool out of the market for good; what is sold is still delivered."""
        return _moved(self, services.withdraw_pool, pool_id)


class ImportView(WriteView):
    scope = "capacity"
    parser_classes = (StrictJSONParser, CSVTextParser)

    @extend_schema(
        operation_id="capacity_import",
        summary="Import a file",
        request={
            "application/json": shapes.CapacityFileInput,
            "text/csv": {"type": "string"},
        },
        responses={201: shapes.ImportSerializer},
        examples=[_CSV_EXAMPLE],
    )
    def post(self, request: Request) -> Response:
        """Register centres, pools and offers of a file in one act.

        Either all rows are stored, or none, and then the answer names every bad row with its
        field, the rule and the mend. A CSV file has a column `kind` (`centre`, `pool`, `offer`);
        pools name their `centre`, offers their `centre` and `pool`, by your own codes. Offers
        need the scope `offers:write` too.
        """
        body = request.data
        file = read_csv(body) if isinstance(body, str) else read_json(body)
        now = clock.now()
        result = importing.import_capacity(
            actor=self.actor, file=file, create_offers=create_offers_for(self.actor, now), now=now
        )
        return Response(shapes.ImportSerializer(result).data, status=201)


class CapacityView(ApiView):
    scope = "capacity:read"

    @extend_schema(
        operation_id="capacity_search",
        summary="Search capacity",
        parameters=[shapes.CapacitySearchQuery],
        responses=paged(shapes.FoundPoolSerializer),
    )
    def get(self, request: Request) -> Response:
        """Open pools of all providers that meet every constraint.

        Free units and lowest prices are what the books wrote last: only an order finds out.
        """
        values = self.query(shapes.CapacitySearchQuery)
        from_slot = values.get("start_at", slot_of(clock.now()) + 1)
        ceiling = values.get("max_price_per_unit_hour")
        rtt_ms = values.get("max_rtt_ms")
        query = CapacityQuery(
            from_slot=from_slot,
            to_slot=values.get("end_at", from_slot + 1),
            free_units=values["units"],
            resource_class=values.get("resource_class"),
            grades=tuple(code for code in values.get("grades", "").split(",") if code),
            region=values.get("region"),
            min_figures=shapes.CapacitySearchQuery.figures_of(values),
            min_memory_gb=values.get("min_memory_gb"),
            domestic_only=values["domestic_only"],
            min_green_share=values.get("min_green_share"),
            max_pue=values.get("max_pue"),
            rtt_region=values.get("rtt_region"),
            max_rtt_us=None if rtt_ms is None else int(rtt_ms * 1000),
            max_price=None if ceiling is None else to_decimal(ceiling),
        )
        return self.page(search_capacity(query), shapes.FoundPoolSerializer, order="id")
