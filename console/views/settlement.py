"""Settlement: periods, a batch and what stands behind its figures, and the verbs of two people."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from accounts.actors import Actor
from billing.settlement import selectors, services
from billing.settlement.models import Obligation, Payout, SettlementBatch
from billing.settlement.payment_file import payment_file
from console.access import OperatorRequest, operator_page
from console.paging import newest_first
from console.reads import settlement
from console.refusals import attempt, told
from core import clock
from core.errors import ExchangeError

CLERK = "settlement_clerk"
APPROVER = "settlement_approver"


@operator_page
def periods_page(request: OperatorRequest) -> HttpResponse:
    """All periods, the newest first, with their batches."""
    found = selectors.periods_visible_to(request.actor).prefetch_related("batches")
    page = newest_first(found, request, key=int)
    charged = settlement.charged_by_period(one.id for one in page.rows)
    return render(
        request,
        "console/periods.html",
        {
            "section": "settlement",
            "page": page,
            "periods": [_period_row(one, charged.get(one.id, (0, 0))) for one in page.rows],
            "may_draw_up": request.actor.is_operator(CLERK),
        },
    )


def _period_row(period: Any, charged: tuple[int, int]) -> dict[str, Any]:
    batches = sorted(period.batches.all(), key=lambda batch: batch.id, reverse=True)
    return {
        "period": period,
        "charges": charged[0],
        "charged_micro": charged[1],
        "batches": batches,
        "has_live_batch": any(one.state not in ("rejected", "failed") for one in batches),
    }


@operator_page
def batch_page(request: OperatorRequest, batch_id: UUID) -> HttpResponse:
    """A batch with its parties and regions, and what the reader may do with it."""
    batch = get_object_or_404(selectors.visible_to(request.actor), id=batch_id)
    return render(
        request,
        "console/batch.html",
        {
            "section": "settlement",
            "batch": batch,
            "content": settlement.batch_content(batch),
            **_may(request.actor, batch),
        },
    )


def _may(actor: Actor, batch: SettlementBatch) -> dict[str, Any]:
    """Which buttons to show. The services decide; this only spares a vain click."""
    is_submitter = batch.submitted_by_id == actor.principal_id
    approver = actor.is_operator(APPROVER)
    return {
        "may_submit": batch.state == "draft" and actor.is_operator(CLERK),
        "may_approve": batch.state == "submitted" and approver and not is_submitter,
        "own_submission": batch.state == "submitted" and approver and is_submitter,
        "may_reject": batch.state == "submitted" and approver,
        "has_file": batch.state in ("approved", "executing", "settled"),
    }


@operator_page
def obligation_page(request: OperatorRequest, obligation_id: UUID) -> HttpResponse:
    """The charge lines behind one obligation."""
    one = get_object_or_404(
        Obligation.objects.select_related(
            "batch__period", "debtor_region", "creditor_region", "organisation"
        ),
        id=obligation_id,
    )
    lines = settlement.lines_of_obligation(one)
    return _lines(
        request,
        {"obligation": one, "batch": one.batch, "amount_micro": one.amount_micro},
        lines,
    )


@operator_page
def payout_page(request: OperatorRequest, payout_id: UUID) -> HttpResponse:
    """The charge lines behind one payout."""
    one = get_object_or_404(
        Payout.objects.select_related("batch__period", "organisation", "region"), id=payout_id
    )
    lines = settlement.lines_of_payout(one)
    return _lines(
        request, {"payout": one, "batch": one.batch, "amount_micro": one.owed_micro}, lines
    )


def _lines(request: OperatorRequest, what: dict[str, Any], lines: Any) -> HttpResponse:
    sums = settlement.sums(lines)
    return render(
        request,
        "console/lines.html",
        {
            "section": "settlement",
            **what,
            "sums": sums,
            "before_micro": what["amount_micro"] - sums.total_micro,
            "page": newest_first(settlement.with_charges(lines), request, key=int),
        },
    )


@operator_page
@require_POST
def cut_off(request: OperatorRequest) -> HttpResponse:
    """End the open period; business goes on in the next."""
    attempt(
        request,
        lambda: services.cut_off(actor=request.actor, now=clock.now()),
        _("The period is cut off and is being closed; the next one is open."),
    )
    return redirect("console:periods")


@operator_page
@require_POST
def draft(request: OperatorRequest, period_id: int) -> HttpResponse:
    """Draw up the batch of a closing period."""
    drawn: list[SettlementBatch] = []
    attempt(
        request,
        lambda: drawn.append(
            services.draft_batch(actor=request.actor, period_id=period_id, now=clock.now())
        ),
        _("The batch is drawn up."),
    )
    return redirect("console:batch", drawn[0].id) if drawn else redirect("console:periods")


@operator_page
@require_POST
def submit(request: OperatorRequest, batch_id: UUID) -> HttpResponse:
    """The first person stands for the draft."""
    attempt(
        request,
        lambda: services.submit_batch(actor=request.actor, batch_id=batch_id, now=clock.now()),
        _("Submitted. A second person approves it now."),
    )
    return redirect("console:batch", batch_id)


@operator_page
def approve(request: OperatorRequest, batch_id: UUID) -> HttpResponse:
    """Ask for a confirmation of exactly this content; then approve it."""
    if request.method == "POST":
        content_hash = request.POST.get("content_hash", "")
        attempt(
            request,
            lambda: services.approve_batch(
                actor=request.actor,
                batch_id=batch_id,
                content_hash=content_hash,
                now=clock.now(),
            ),
            _("Approved. The payments are being made."),
        )
        return redirect("console:batch", batch_id)
    batch = get_object_or_404(selectors.visible_to(request.actor), id=batch_id)
    may = _may(request.actor, batch)
    if not (may["may_approve"] or may["own_submission"]):
        return redirect("console:batch", batch_id)
    return render(request, "console/approve.html", {"section": "settlement", "batch": batch, **may})


@operator_page
def reject(request: OperatorRequest, batch_id: UUID) -> HttpResponse:
    """Send a submitted batch back, with the reason."""
    batch = get_object_or_404(selectors.visible_to(request.actor), id=batch_id)
    if request.method == "POST":
        reason = request.POST.get("reason", "").strip()
        attempt(
            request,
            lambda: services.reject_batch(
                actor=request.actor, batch_id=batch_id, reason=reason, now=clock.now()
            ),
            _("Rejected. The clerk can draw it up again."),
        )
        return redirect("console:batch", batch_id)
    if not _may(request.actor, batch)["may_reject"]:
        return redirect("console:batch", batch_id)
    return render(request, "console/reject.html", {"section": "settlement", "batch": batch})


@operator_page
def payout_file(request: OperatorRequest, batch_id: UUID) -> HttpResponse:
    """The payment file of an approved batch, to be taken to the bank."""
    batch = get_object_or_404(selectors.visible_to(request.actor), id=batch_id)
    try:
        content = payment_file(batch)
    except ExchangeError as error:
        messages.error(request, told(error))
        return redirect("console:batch", batch_id)
    # With a byte order mark, so that spreadsheets read the payees' names.
    return HttpResponse(
        "\ufeff" + content,
        content_type="text/csv; charset=utf-8",
        headers={
            "Content-Disposition": f'attachment; filename="payouts-{batch.period.date}.csv"',
        },
    )
