"""Version 1, by room."""

from django.urls import include, path

urlpatterns = [
    path("", include("api.v1.accounts.urls")),
    path("", include("api.v1.capacity.urls")),
    path("", include("api.v1.market.urls")),
    path("", include("api.v1.scheduling.urls")),
    path("", include("api.v1.billing.urls")),
]
