"""`market.explain`: the 99th percentile of an explanation, to that of a bare Django REST view.

The book is the province's (`market_engine.Market`): 1,000 pools, orders of all kinds, half of whose
limits are too low for any offer, so that nearest misses are looked for. The view, called in this
process without a server or a database, checks an order's shape and answers with it.
"""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable, Iterator
from random import Random

import django

from tests.bench.contest import Contest, Stage
from tests.bench.market_engine import NOW_S, Market

_BODY = {
    "grades": [{"grade": "general.kunpeng-920.8", "limit_price_per_unit_hour": "1.500000"}],
    "units": 1,
    "duration_hours": 1,
}


def contests(stage: Stage) -> Iterator[Contest]:
    """Explaining against a bare view."""
    django.setup()
    from exchange.market.engine import BookState
    from exchange.market.explain import explain

    pools, count = stage.size(1_000, 100), stage.size(500, 20)
    market = Market(Random(4), pools)
    book = BookState(market.network, market.pools, market.offers, now_s=NOW_S)
    orders = [
        market.order(10**9 + i, (2**62, 0), limits=(8, 24) if i % 2 else (2, 7))
        for i in range(count)
    ]
    explain(book, orders[0], NOW_S)  # warm
    view = _bare_view()
    yield Contest(
        name="market.explain",
        measure=f"p99 of an explanation at {pools:,} pools, to a bare Django REST view",
        unit="ms",
        better="lower",
        run=lambda: _p99_ms([lambda order=order: explain(book, order, NOW_S) for order in orders]),
        reference=lambda: _p99_ms([view] * count),
    )


def _p99_ms(calls: list[Callable[[], object]]) -> float:
    gc.collect()
    took = []
    for call in calls:
        started = time.perf_counter()
        call()
        took.append(time.perf_counter() - started)
    return sorted(took)[len(took) * 99 // 100] * 1e3


def _bare_view() -> Callable[[], object]:
    from rest_framework.response import Response
    from rest_framework.test import APIRequestFactory
    from rest_framework.views import APIView

    from api.v1.market.serializers import OrderInput

    class BareView(APIView):
        authentication_classes = permission_classes = throttle_classes = ()

        def post(self, request):
            checked = OrderInput(data=request.data)
            checked.is_valid(raise_exception=True)
            return Response(request.data)

    requests, view = APIRequestFactory(), BareView.as_view()
    body = json.dumps(_BODY)

    def call() -> object:
        answer = view(requests.post("/orders", body, content_type="application/json"))
        assert answer.status_code == 200, answer.data
        return answer.render()

    return call
