"""The addresses of the API, its description and its problem pages."""

from django.urls import include, path, re_path
from drf_spectacular.views import (
    SpectacularJSONAPIView,
    SpectacularRedocView,
    SpectacularSwaggerView,
)

from api.pages import UnknownRoute, problem_page

urlpatterns = [
    path("api/v1/schema", SpectacularJSONAPIView.as_view(), name="schema"),
    path("api/v1/docs", SpectacularSwaggerView.as_view(url_name="schema"), name="docs"),
    path("api/v1/redoc", SpectacularRedocView.as_view(url_name="schema"), name="redoc"),
    path("api/v1/", include("api.v1.urls")),
    path("problems/<slug:slug>", problem_page, name="problem"),
    # Whatever else lies under /api/ is answered by a problem, not by a page.
    re_path(r"^api(/.*)?$", UnknownRoute.as_view(), name="unknown"),
]
