"""The market's supervision: what is open and halted, price bands, index, concentration."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Final
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from console.access import OperatorRequest, operator_page
from console.reads import market
from console.refusals import attempt
from core import clock
from core.errors import InvalidInput
from exchange.market.orderly import services

_UNREADABLE: Final = -1  # which every rule refuses


@operator_page
def market_page(request: OperatorRequest) -> HttpResponse:
    """How the books stand, and what the market desk may do about it."""
    return render(
        request,
        "console/market.html",
        {
            "section": "market",
            "books": market.books(),
            "halts": market.halts(),
            "regions": market.regions(),
            "tables": [
                market.concentration_table(actor=request.actor, now=clock.now()),
                market.index_table(),
            ],
            "may_act": request.actor.is_operator(services.ROLE),
            "most_reason": services.MAX_REASON_LENGTH,
        },
    )


@operator_page
@require_POST
def halt(request: OperatorRequest) -> HttpResponse:
    """Halt a book or a region, with the reason."""
    kind, _colon, code = request.POST.get("what", "").partition(":")
    attempt(
        request,
        lambda: services.halt_trading(
            actor=request.actor,
            book_code=code if kind == "book" else None,
            region_code=code if kind == "region" else None,
            reason=request.POST.get("reason", ""),
            now=clock.now(),
        ),
        _("Halted: nothing is matched there from the next batch on."),
    )
    return redirect("console:market")


@operator_page
@require_POST
def resume(request: OperatorRequest, halt_id: UUID) -> HttpResponse:
    """Let trading go on, with the reason."""
    attempt(
        request,
        lambda: services.resume_trading(
            actor=request.actor,
            halt_id=halt_id,
            reason=request.POST.get("reason", ""),
            now=clock.now(),
        ),
        _("Resumed: what rests is matched with the next batch."),
    )
    return redirect("console:market")


@operator_page
@require_POST
def rules(request: OperatorRequest, book_code: str) -> HttpResponse:
    """Set a book's price band and the least volume of its index."""
    attempt(
        request,
        lambda: services.set_book_rules(
            actor=request.actor,
            book_code=book_code,
            band_bp=_basis_points(request.POST.get("band", "")),
            index_min_unit_hours=_whole(request.POST.get("volume", "")),
            now=clock.now(),
        ),
        _("The rules of the book are set."),
    )
    return redirect("console:market")


def _basis_points(percent: str) -> int | None:
    """Per cent with at most two places; None where the field is empty."""
    if not percent.strip():
        return None
    try:
        exact = Decimal(percent.strip()) * 100
        whole = int(exact)
    except (InvalidOperation, ValueError, OverflowError):
        return _UNREADABLE
    if whole != exact:
        raise InvalidInput.of("band", "at most two decimal places", "Round it.")
    return whole


def _whole(text: str) -> int:
    text = text.strip()
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else _UNREADABLE
