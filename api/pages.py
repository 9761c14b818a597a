"""Pages beside the API: the problem types, and the answer to addresses that do not exist."""

from __future__ import annotations

from typing import Any, NoReturn

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from api.errors import RouteNotFound
from api.views import ApiView

PROBLEM_PAGES = settings.BASE_DIR / "docs" / "problems"


@require_safe
def problem_page(request: HttpRequest, slug: str) -> HttpResponse:
    """The page about one type of problem, as the text it is written in."""
    page = PROBLEM_PAGES / f"{slug}.md"
    if not page.is_file():
        return HttpResponse("There is no such type of problem.\n", "text/plain", status=404)
    return HttpResponse(page.read_text("utf-8"), "text/markdown; charset=utf-8")


@extend_schema(exclude=True)
class UnknownRoute(ApiView):
    """Every address of the API that no room has."""

    public = True
    authentication_classes = ()

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> NoReturn:
        """Always the same refusal, for every method."""
        raise RouteNotFound(f"Nothing is at {request.path}; GET /api/v1/schema lists what is.")
