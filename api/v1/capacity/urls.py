"""Addresses of unified access."""

from django.urls import path

from api.v1.capacity import views

urlpatterns = [
    path("regions", views.RegionsView.as_view()),
    path("links", views.LinksView.as_view()),
    path("links/<int:link_id>", views.LinkView.as_view()),
    path("device-models", views.DeviceModelsView.as_view()),
    path("grades", views.GradesView.as_view()),
    path("centres", views.CentresView.as_view()),
    path("centres/<uuid:centre_id>", views.CentreView.as_view()),
    path("centres/<uuid:centre_id>/hours", views.CentreHoursView.as_view()),
    path("centres/<uuid:centre_id>/heartbeat", views.HeartbeatView.as_view()),
    path("pools", views.PoolsView.as_view()),
    path("pools/<uuid:pool_id>", views.PoolView.as_view()),
    path("pools/<uuid:pool_id>/pause", views.PausePoolView.as_view()),
    path("pools/<uuid:pool_id>/resume", views.ResumePoolView.as_view()),
    path("pools/<uuid:pool_id>/withdraw", views.WithdrawPoolView.as_view()),
    path("imports/capacity", views.ImportView.as_view()),
    path("capacity", views.CapacityView.as_view()),
]
