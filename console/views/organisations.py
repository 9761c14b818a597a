"""Organisations: those that wait for verification, and the two answers to them."""

from __future__ import annotations

from uuid import UUID

from django.db.models import Count
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from accounts import selectors, services
from console import words
from console.access import OperatorRequest, operator_page
from console.paging import newest_first
from console.refusals import attempt
from core import clock
from exchange.topology.models import Region


@operator_page
def organisations_page(request: OperatorRequest) -> HttpResponse:
    """Organisations by their verification; what waits stands first."""
    wanted = request.GET.get("verification", "submitted")
    found = selectors.visible_to(request.actor)
    counts = dict(found.values_list("verification").annotate(Count("pk")).order_by("verification"))
    if wanted in words.VERIFICATIONS:
        found = found.filter(verification=wanted)
    page = newest_first(found, request, key=UUID)
    regions = Region.objects.in_bulk({one.region_code for one in page.rows})
    return render(
        request,
        "console/organisations.html",
        {
            "section": "organisations",
            "page": page,
            "organisations": [(one, regions.get(one.region_code)) for one in page.rows],
            "wanted": wanted,
            "choices": [
                (code, label, counts.get(code, 0)) for code, label in words.VERIFICATIONS.items()
            ],
            "may_decide": request.actor.is_operator("market"),
        },
    )


@operator_page
@require_POST
def verify(request: OperatorRequest, organisation_id: UUID) -> HttpResponse:
    """Let an organisation take part."""
    attempt(
        request,
        lambda: services.verify(
            actor=request.actor, organisation_id=organisation_id, now=clock.now()
        ),
        _("Verified."),
    )
    return redirect("console:organisations")


@operator_page
@require_POST
def refuse(request: OperatorRequest, organisation_id: UUID) -> HttpResponse:
    """Refuse an organisation, with the reason; it may mend its facts and submit again."""
    reason = request.POST.get("reason", "").strip()
    attempt(
        request,
        lambda: services.refuse(
            actor=request.actor, organisation_id=organisation_id, reason=reason, now=clock.now()
        ),
        _("Refused; the organisation sees the reason."),
    )
    return redirect("console:organisations")
