"""Day-ahead auctions: the list, one with its result, and the verbs of the market desk."""

from __future__ import annotations

import json
from datetime import date
from uuid import UUID

from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from accounts.selectors import audit_visible_to
from console.access import OperatorRequest, operator_page
from console.paging import newest_first
from console.reads import auctions, rows
from console.refusals import attempt
from core import clock
from exchange.market.day_ahead import gate, services
from exchange.market.day_ahead.models import Auction
from exchange.market.day_ahead.requests import TimesRequest
from exchange.market.day_ahead.states import AUCTION_LIVE

DESK = "market"


@operator_page
def auctions_page(request: OperatorRequest) -> HttpResponse:
    """All auctions, the newest first."""
    page = newest_first(Auction.objects.select_related("result"), request, key=UUID)
    return render(
        request,
        "console/auctions.html",
        {
            "section": "auctions",
            "page": page,
            "may_hold": request.actor.is_operator(DESK),
        },
    )


@operator_page
def auction_page(request: OperatorRequest, auction_id: UUID) -> HttpResponse:
    """One auction with its result."""
    auction = get_object_or_404(Auction.objects.select_related("problem", "result"), id=auction_id)
    return render(
        request,
        "console/auction.html",
        {
            "section": "auctions",
            "auction": auction,
            "entered": auctions.entered(auction),
            "answer": auctions.answer(auction, request.GET.dict()),
            "may_cancel": request.actor.is_operator(DESK) and auction.state in AUCTION_LIVE,
            "audit": rows.audit_table(audit_visible_to(request.actor), auction.id),
        },
    )


@operator_page
def cancel(request: OperatorRequest, auction_id: UUID) -> HttpResponse:
    """Ask why, then call the auction off."""
    auction = get_object_or_404(Auction, id=auction_id)
    if request.method == "POST":

        def verb() -> None:
            with transaction.atomic():
                gate.cancel_auction(
                    actor=request.actor,
                    auction_id=auction.id,
                    reason=request.POST.get("reason", ""),
                    now=clock.now(),
                )

        attempt(request, verb, _("The auction is cancelled; everything was given back."))
        return redirect("console:auction", auction.id)
    return render(
        request, "console/cancel_auction.html", {"section": "auctions", "auction": auction}
    )


@require_POST
@operator_page
def announce(request: OperatorRequest) -> HttpResponse:
    """Announce an auction by hand, at the timetable's times."""
    try:
        day = date.fromisoformat(request.POST.get("delivery_date", ""))
    except ValueError:
        messages.error(request, _("Give a day of delivery."))
        return redirect("console:auctions")

    def verb() -> None:
        with transaction.atomic():
            services.announce_auction(
                actor=request.actor,
                request=TimesRequest(delivery_date=day),
                reason=request.POST.get("reason", ""),
                now=clock.now(),
            )

    attempt(request, verb, _("The auction is announced."))
    return redirect("console:auctions")


@operator_page
def document(_request: OperatorRequest, auction_id: UUID, name: str) -> HttpResponse:
    """The problem or the certificate, as a file for the checker."""
    auction = get_object_or_404(Auction.objects.select_related("problem", "result"), id=auction_id)
    part = getattr(auction, "problem" if name == "problem" else "result", None)
    if part is None:
        raise Http404
    text = json.dumps(part.document if name == "problem" else part.certificate, indent=1)
    response = HttpResponse(text, content_type="application/json")
    response.headers["Content-Disposition"] = (
        f'attachment; filename="auction-{auction.delivery_date}-{name}.json"'
    )
    return response
