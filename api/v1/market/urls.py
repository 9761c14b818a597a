"""Addresses of trading."""

from django.urls import path

from api.v1.market import auction_views, views

urlpatterns = [
    path("orders", views.OrdersView.as_view()),
    path("orders/preview", views.OrderPreviewView.as_view()),
    path("orders/<uuid:order_id>", views.OrderView.as_view()),
    path("orders/<uuid:order_id>/cancel", views.OrderCancelView.as_view()),
    path("orders/<uuid:order_id>/explain", views.OrderExplainView.as_view()),
    path("orders/<uuid:order_id>/trades", views.OrderTradesView.as_view()),
    path("trades", views.TradesView.as_view()),
    path("offers", views.OffersView.as_view()),
    path("offers/batch", views.OffersBatchView.as_view()),
    path("offers/<uuid:offer_id>", views.OfferView.as_view()),
    path("offers/<uuid:offer_id>/pause", views.OfferPauseView.as_view()),
    path("offers/<uuid:offer_id>/resume", views.OfferResumeView.as_view()),
    path("offers/<uuid:offer_id>/withdraw", views.OfferWithdrawView.as_view()),
    path("auctions", auction_views.AuctionsView.as_view()),
    path("auctions/<uuid:auction_id>", auction_views.AuctionView.as_view()),
    path("auctions/<uuid:auction_id>/cancel", auction_views.AuctionCancelView.as_view()),
    path("auctions/<uuid:auction_id>/result", auction_views.AuctionResultView.as_view()),
    path("auctions/<uuid:auction_id>/problem", auction_views.AuctionProblemView.as_view()),
    path("auctions/<uuid:auction_id>/certificate", auction_views.AuctionCertificateView.as_view()),
    path("auctions/<uuid:auction_id>/orders", auction_views.AuctionOrdersView.as_view()),
    path("auctions/<uuid:auction_id>/offers", auction_views.AuctionOffersView.as_view()),
    path("auction-orders/<uuid:auction_order_id>", auction_views.AuctionOrderView.as_view()),
    path(
        "auction-orders/<uuid:auction_order_id>/replace",
        auction_views.AuctionOrderReplaceView.as_view(),
    ),
    path(
        "auction-orders/<uuid:auction_order_id>/cancel",
        auction_views.AuctionOrderCancelView.as_view(),
    ),
    path("auction-offers/<uuid:auction_offer_id>", auction_views.AuctionOfferView.as_view()),
    path(
        "auction-offers/<uuid:auction_offer_id>/replace",
        auction_views.AuctionOfferReplaceView.as_view(),
    ),
    path(
        "auction-offers/<uuid:auction_offer_id>/cancel",
        auction_views.AuctionOfferCancelView.as_view(),
    ),
    path("auction-schedules", auction_views.AuctionSchedulesView.as_view()),
    path("auction-links", auction_views.AuctionLinksView.as_view()),
    path("auction-links/<int:link_id>", auction_views.AuctionLinkView.as_view()),
    path("market/books", views.BooksView.as_view()),
    path("market/best-prices", views.BestPricesView.as_view()),
    path("market/depth", views.DepthView.as_view()),
    path("market/trades", views.LastTradesView.as_view()),
    path("market/statistics", views.StatisticsView.as_view()),
]
