"""The addresses of the console."""

from django.urls import path

from console.views import auctions, market, organisations, pages, session, settlement

app_name = "console"

_BATCH = "settlement/batches/<uuid:batch_id>"

urlpatterns = [
    path("", pages.today_page, name="today"),
    path("login/", session.Login.as_view(), name="login"),
    path("logout/", session.Logout.as_view(), name="logout"),
    path("language/", session.language, name="language"),
    path("search/", pages.search_page, name="search"),
    path("things/<slug:kind>/<uuid:thing_id>/", pages.thing_page, name="thing"),
    path("settlement/", settlement.periods_page, name="periods"),
    path("settlement/cut-off/", settlement.cut_off, name="cut-off"),
    path("settlement/periods/<int:period_id>/draft/", settlement.draft, name="draft"),
    path(f"{_BATCH}/", settlement.batch_page, name="batch"),
    path(f"{_BATCH}/submit/", settlement.submit, name="submit"),
    path(f"{_BATCH}/approve/", settlement.approve, name="approve"),
    path(f"{_BATCH}/reject/", settlement.reject, name="reject"),
    path(f"{_BATCH}/payouts.csv", settlement.payout_file, name="payout-file"),
    path(
        "settlement/obligations/<uuid:obligation_id>/",
        settlement.obligation_page,
        name="obligation",
    ),
    path("settlement/payouts/<uuid:payout_id>/", settlement.payout_page, name="payout"),
    path("market/", market.market_page, name="market"),
    path("market/halt/", market.halt, name="halt"),
    path("market/halts/<uuid:halt_id>/resume/", market.resume, name="resume"),
    path("market/books/<slug:book_code>/rules/", market.rules, name="book-rules"),
    path("auctions/", auctions.auctions_page, name="auctions"),
    path("auctions/announce/", auctions.announce, name="announce-auction"),
    path("auctions/<uuid:auction_id>/", auctions.auction_page, name="auction"),
    path("auctions/<uuid:auction_id>/cancel/", auctions.cancel, name="cancel-auction"),
    path(
        "auctions/<uuid:auction_id>/<slug:name>.json",
        auctions.document,
        name="auction-document",
    ),
    path("organisations/", organisations.organisations_page, name="organisations"),
    path("organisations/<uuid:organisation_id>/verify/", organisations.verify, name="verify"),
    path("organisations/<uuid:organisation_id>/refuse/", organisations.refuse, name="refuse"),
    path("ledger/", pages.ledger_page, name="ledger"),
    path("audit/", pages.audit_page, name="audit"),
]
