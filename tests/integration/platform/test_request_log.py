"""One line for each request, with what is needed to find it again."""

from __future__ import annotations

import json
import logging
from types import SimpleNamespace

import pytest
from django.http import HttpResponse
from django.test import RequestFactory

from config.request_log import RequestLogMiddleware
from core.request_context import request_id


def lines(caplog: pytest.LogCaptureFixture) -> list[dict]:
    return [record.msg for record in caplog.records if record.name == "request"]


def test_a_request_is_named_timed_and_logged_with_its_actor(caplog) -> None:
    seen = []

    def view(request):
        seen.append(request_id.get())
        request.auth = SimpleNamespace(label="cx_abcdef")
        return HttpResponse(status=201)

    with caplog.at_level(logging.INFO):
        response = RequestLogMiddleware(view)(RequestFactory().post("/api/v1/orders"))
    (line,) = lines(caplog)
    assert response["X-Request-Id"] == seen[0] == line["request_id"]
    assert line["ms"] >= 0
    expected = {
        "method": "POST",
        "path": "/api/v1/orders",
        "status": 201,
        "actor": "cx_abcdef",
        "problem": "",
        "event": "request",
    }
    assert expected.items() <= line.items()
    assert request_id.get() is None


def test_a_refusal_is_logged_with_its_problem(caplog) -> None:
    body = {"type": "https://example.org/problems/insufficient-funds", "status": 409}

    def view(_request):
        return HttpResponse(json.dumps(body), status=409, content_type="application/problem+json")

    with caplog.at_level(logging.INFO):
        RequestLogMiddleware(view)(RequestFactory().post("/api/v1/orders"))
    (line,) = lines(caplog)
    assert (line["status"], line["problem"]) == (409, "insufficient-funds")


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("trace-0001.a_b", True),
        ("short", False),
        ("x" * 65, False),
        ('"},{"forged":1', False),
        ("two\nlines-of-it", False),
    ],
)
def test_a_caller_s_own_id_is_kept_only_where_it_is_harmless(given: str, kept: bool) -> None:
    request = RequestFactory().get("/x", headers={"X-Request-Id": given})
    response = RequestLogMiddleware(lambda _request: HttpResponse())(request)
    assert (response["X-Request-Id"] == given) is kept


def test_machines_asking_for_health_leave_no_line(caplog) -> None:
    with caplog.at_level(logging.INFO):
        RequestLogMiddleware(lambda _r: HttpResponse())(RequestFactory().get("/healthz"))
    assert lines(caplog) == []


@pytest.mark.django_db
def test_a_route_that_does_not_exist_and_one_that_crashes_have_a_line_each(client, caplog) -> None:
    with caplog.at_level(logging.INFO):
        assert client.get("/no/such/thing").status_code == 404
    (line,) = lines(caplog)
    assert (line["path"], line["status"]) == ("/no/such/thing", 404)


@pytest.mark.django_db
def test_ready_says_what_answers(client, settings) -> None:
    assert client.get("/readyz").json() == {"status": "ok", "database": "ok", "broker": "ok"}
    assert client.get("/healthz").json() == {"status": "ok"}
    # Without the broker orders are still taken.
    settings.CACHES = {
        "default": {**settings.CACHES["default"], "LOCATION": "redis://127.0.0.1:1/0"}
    }
    response = client.get("/readyz")
    assert (response.status_code, response.json()["broker"]) == (200, "unavailable")
