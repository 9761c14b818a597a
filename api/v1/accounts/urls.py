"""Addresses of accounts."""

from django.urls import path

from api.v1.accounts import stream, views

urlpatterns = [
    path("registrations", views.RegistrationsView.as_view()),
    path("organisation", views.OrganisationView.as_view()),
    path("organisation/submit", views.SubmitView.as_view()),
    path("organisations", views.OrganisationsView.as_view()),
    path("organisations/<uuid:organisation_id>", views.OrganisationByIdView.as_view()),
    path("organisations/<uuid:organisation_id>/verify", views.VerifyView.as_view()),
    path("organisations/<uuid:organisation_id>/refuse", views.RefuseView.as_view()),
    path("organisations/<uuid:organisation_id>/suspend", views.SuspendView.as_view()),
    path("organisations/<uuid:organisation_id>/reinstate", views.ReinstateView.as_view()),
    path("members", views.MembersView.as_view()),
    path("members/<uuid:member_id>", views.MemberView.as_view()),
    path("api-keys", views.KeysView.as_view()),
    path("api-keys/<uuid:key_id>/revoke", views.RevokeKeyView.as_view()),
    path("audit", views.AuditView.as_view()),
    path("stream", stream.StreamView.as_view()),
]
