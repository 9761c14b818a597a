"""Who may open a page of the console: people with an operator role, and nobody else."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render
from django.utils import timezone

from accounts.actors import Actor, for_user
from accounts.models import User

# No script runs in the console at all, and nothing is loaded from anywhere else.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; font-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)


class OperatorRequest(HttpRequest):
    """A request that has passed ``operator_page``."""

    actor: Actor


View: TypeAlias = Callable[..., HttpResponseBase]


def guarded(response: HttpResponseBase) -> HttpResponseBase:
    """Add what every answer of the console carries: its content policy, and no caching."""
    response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    response.headers["Cache-Control"] = "no-store"
    return response


def operator_page(view: Callable[..., HttpResponseBase]) -> View:
    """Let operator staff through; send strangers to the login, refuse everybody else with 403.

    Inside the view, ``request.actor`` is who acts, and times are shown in the operator's zone.
    """

    @wraps(view)
    def page(request: Any, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return guarded(redirect_to_login(request.get_full_path()))
        request.actor = operator_actor(request.user)
        if not request.actor.operator_roles:
            return guarded(refusal(request))
        with timezone.override(ZoneInfo(settings.OPERATOR_TIME_ZONE)):
            try:
                return guarded(view(request, *args, **kwargs))
            except Http404:
                return guarded(render(request, "console/missing.html", status=404))

    return page


def operator_actor(user: User) -> Actor:
    """Who acts when ``user`` uses the console: as a member of the operator, where they are one."""
    actor = for_user(user)
    if actor.operator_roles:
        return actor
    operator = user.memberships.filter(organisation__kinds__contains=["operator"]).first()
    return for_user(user, operator.organisation_id) if operator else actor


def refusal(request: HttpRequest) -> HttpResponse:
    """The page that says that the console is for operator staff."""
    return render(request, "console/refused.html", status=403)
