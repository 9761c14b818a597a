"""The pages that only show: today, search, things, ledger, audit."""

from __future__ import annotations

from uuid import UUID

from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render

from accounts.selectors import audit_visible_to
from console.access import OperatorRequest, operator_page
from console.paging import newest_first
from console.reads import ledger, registry, rows, today
from core import clock


@operator_page
def today_page(request: OperatorRequest) -> HttpResponse:
    """What the market did today, and what waits for a person."""
    now = clock.now()
    leases = today.leases_by_state()
    return render(
        request,
        "console/today.html",
        {
            "section": "today",
            "now": now,
            "market": today.market_figures(now=now),
            "utilisation": today.utilisation(now=now),
            "leases": leases,
            "leases_live": sum(leases.values()),
            "open_period": today.open_period(),
            "waiting": today.waiting(suspended_leases=leases.get("suspended", 0)),
            "target": today.UTILISATION_TARGET,
            "floor": today.UTILISATION_FLOOR,
        },
    )


@operator_page
def search_page(request: OperatorRequest) -> HttpResponse:
    """Things that an id names; straight to the thing where there is only one."""
    term = request.GET.get("q", "").strip()[:200]
    found = registry.search(term) if term else []
    if len(found) == 1:
        return redirect(found[0].url)
    return render(
        request, "console/search.html", {"section": "search", "term": term, "found": found}
    )


@operator_page
def thing_page(request: OperatorRequest, kind: str, thing_id: UUID) -> HttpResponse:
    """One thing, with its links up and down the trip."""
    load = registry.THINGS.get(kind)
    thing = load(thing_id) if load else None
    if thing is None:
        raise Http404
    tables = [*thing.tables, rows.audit_table(audit_visible_to(request.actor), thing_id)]
    section = "organisations" if kind == "organisation" else "search"
    return render(
        request, "console/thing.html", {"section": section, "thing": thing, "tables": tables}
    )


@operator_page
def ledger_page(request: OperatorRequest) -> HttpResponse:
    """The trial balance by region."""
    return render(
        request,
        "console/ledger.html",
        {"section": "ledger", "trial": ledger.trial_balance(), "now": clock.now()},
    )


@operator_page
def audit_page(request: OperatorRequest) -> HttpResponse:
    """The audit rows, the newest first, by actor, act or subject."""
    wanted = {name: request.GET.get(name, "").strip() for name in ("actor", "action", "subject")}
    found = audit_visible_to(request.actor)
    if wanted["actor"]:
        found = found.filter(actor_label=wanted["actor"])
    if wanted["action"]:
        found = found.filter(action__startswith=wanted["action"])
    if wanted["subject"]:
        found = found.filter(subject_id=wanted["subject"])
    page = newest_first(found, request, key=int)
    return render(
        request,
        "console/audit.html",
        {
            "section": "audit",
            "page": page,
            "rows": [(row, rows.audit_cells(row)) for row in page.rows],
            "wanted": wanted,
            "sees_all": request.actor.is_operator("auditor"),
        },
    )
