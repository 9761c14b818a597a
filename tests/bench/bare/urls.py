"""One address."""

from __future__ import annotations

import json

from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse
from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.v1.market.serializers import OrderInput
from core.ids import new_id


class BareOrdersView(APIView):
    """Checks the order's shape and stores it as one row."""

    scope = "orders"

    def post(self, request: Request) -> Response:
        """One transaction, one row."""
        checked = OrderInput(data=request.data)
        checked.is_valid(raise_exception=True)
        row_id = new_id()
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO bench_order (id, body) VALUES (%s, %s)",
                [row_id, json.dumps(request.data)],
            )
        return Response({"id": str(row_id), "state": "pending"}, status=201)


def ready(_request: HttpRequest) -> HttpResponse:
    """For whoever waits until this server answers."""
    return HttpResponse("ready")


urlpatterns = [path("orders", BareOrdersView.as_view()), path("readyz", ready)]
