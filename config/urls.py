"""The addresses of the service."""

from django.contrib import admin
from django.urls import include, path

from config import health

urlpatterns = [
    path("healthz", health.alive),
    path("readyz", health.ready),
    path("", include("api.urls")),
    path("console/", include("console.urls")),
    path("admin/", admin.site.urls),
]
