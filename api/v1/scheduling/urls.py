"""Addresses of unified scheduling."""

from django.urls import path

from api.v1.scheduling import reclaims, views

urlpatterns = [
    path("pools/<uuid:pool_id>/reclaim", reclaims.PoolReclaimView.as_view()),
    path("reclaims", reclaims.ReclaimsView.as_view()),
    path("leases", views.LeasesView.as_view()),
    path("leases/transitions", views.BulkTransitionsView.as_view()),
    path("leases/<uuid:lease_id>", views.LeaseView.as_view()),
    path("leases/<uuid:lease_id>/transitions", views.TransitionsView.as_view()),
    path("leases/<uuid:lease_id>/access", views.AccessView.as_view()),
]
