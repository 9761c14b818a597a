"""Addresses of trading."""

from django.urls import path

from api.v1.market import orderly_views, standing, stream, views

urlpatterns = [
    path("orders", views.OrdersView.as_view()),
    path("orders/preview", views.OrderPreviewView.as_view()),
    path("orders/<uuid:order_id>", views.OrderView.as_view()),
    path("orders/<uuid:order_id>/amendments", views.OrderAmendmentsView.as_view()),
    path("orders/<uuid:order_id>/cancel", views.OrderCancelView.as_view()),
    path("orders/<uuid:order_id>/explain", views.OrderExplainView.as_view()),
    path("orders/<uuid:order_id>/trades", views.OrderTradesView.as_view()),
    path("standing-orders", standing.StandingOrdersView.as_view()),
    path("standing-orders/<uuid:standing_id>", standing.StandingOrderView.as_view()),
    path("standing-orders/<uuid:standing_id>/rolls", standing.StandingRollsView.as_view()),
    path("standing-orders/<uuid:standing_id>/pause", standing.StandingPauseView.as_view()),
    path("standing-orders/<uuid:standing_id>/resume", standing.StandingResumeView.as_view()),
    path("standing-orders/<uuid:standing_id>/end", standing.StandingEndView.as_view()),
    path("trades", views.TradesView.as_view()),
    path("trades/<uuid:trade_id>/resale", views.TradeResaleView.as_view()),
    path("offers", views.OffersView.as_view()),
    path("offers/batch", views.OffersBatchView.as_view()),
    path("offers/<uuid:offer_id>", views.OfferView.as_view()),
    path("offers/<uuid:offer_id>/pause", views.OfferPauseView.as_view()),
    path("offers/<uuid:offer_id>/resume", views.OfferResumeView.as_view()),
    path("offers/<uuid:offer_id>/withdraw", views.OfferWithdrawView.as_view()),
    path("market/books", views.BooksView.as_view()),
    path("market/best-prices", views.BestPricesView.as_view()),
    path("market/depth", views.DepthView.as_view()),
    path("market/trades", views.LastTradesView.as_view()),
    path("market/index", orderly_views.IndexView.as_view()),
    path("market/status", orderly_views.StatusView.as_view()),
    path("market/halts", orderly_views.HaltsView.as_view()),
    path("market/halts/<uuid:halt_id>/resume", orderly_views.ResumeView.as_view()),
    path("market/books/<slug:book_code>/rules", orderly_views.BookRulesView.as_view()),
    path("market/order-limits/<uuid:organisation_id>", orderly_views.OrderLimitView.as_view()),
    path("market/concentration", orderly_views.ConcentrationView.as_view()),
    path("market/stream", stream.MarketStreamView.as_view()),
    path("market/statistics", views.StatisticsView.as_view()),
]
