"""Addresses of unified billing."""

from django.urls import path

from api.v1.billing import settlement_views as settlement
from api.v1.billing import views

_BATCH = "settlement/batches/<uuid:batch_id>"

urlpatterns = [
    path("usage-records", views.UsageRecordsView.as_view()),
    path("charges", views.ChargesView.as_view()),
    path("charges/<uuid:charge_id>", views.ChargeView.as_view()),
    path("account", views.AccountView.as_view()),
    path("account/statement", views.StatementView.as_view()),
    path("top-ups", views.TopUpsView.as_view()),
    path("payouts", views.PayoutsView.as_view()),
    path("settlement/periods", settlement.PeriodsView.as_view()),
    path("settlement/periods/cut-off", settlement.CutOffView.as_view()),
    path("settlement/batches", settlement.BatchesView.as_view()),
    path(_BATCH, settlement.BatchView.as_view()),
    path(f"{_BATCH}/submit", settlement.SubmitView.as_view()),
    path(f"{_BATCH}/approve", settlement.ApproveView.as_view()),
    path(f"{_BATCH}/reject", settlement.RejectView.as_view()),
    path(f"{_BATCH}/payouts.csv", settlement.PaymentFileView.as_view()),
    path("ledger/trial-balance", settlement.TrialBalanceView.as_view()),
]
