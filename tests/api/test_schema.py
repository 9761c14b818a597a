"""The description holds: OpenAPI 3.1, complete, and no request it allows breaks the service.

Set ``SCHEMA_EXAMPLES`` for more requests to each operation.
"""

import os

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from django.test import Client
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks as openapi

from config.wsgi import application
from tests.api.client import register
from tests.api.routes import routes

EXAMPLES = int(os.environ.get("SCHEMA_EXAMPLES", "2"))
CHECKS = [
    not_a_server_error,
    openapi.status_code_conformance,
    openapi.content_type_conformance,
    openapi.response_schema_conformance,
]
# A stream of events has no schema and lasts for seconds.
NOT_FUZZED = r"^/api/v1/(market/)?stream$"


schema = schemathesis.openapi.from_wsgi("/api/v1/schema", application)


def document():
    return Client().get("/api/v1/schema").json()


@pytest.fixture
def party():
    return register("buyer", "provider", "carrier")


@pytest.fixture
def _one_connection():
    """The requests run inside the test's transaction, so its connection must stay open."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.mark.django_db
@pytest.mark.usefixtures("_one_connection")
@schema.exclude(path_regex=NOT_FUZZED).parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_no_request_breaks_the_service(case, party):
    case.call_and_validate(headers={"Authorization": f"Bearer {party.key}"}, checks=CHECKS)


def test_the_version_and_what_is_common():
    found = document()
    assert found["openapi"] == "3.1.0"
    assert found["components"]["securitySchemes"]["apiKey"]["scheme"] == "bearer"
    assert [tag["name"] for tag in found["tags"]] == [
        "accounts", "capacity", "market", "scheduling", "billing",
    ]  # fmt: skip


def test_every_operation_is_described():
    paths = document()["paths"]
    for route in routes():
        path = "/".join(
            f"{{{part[1:-1].rpartition(':')[2]}}}" if part.startswith("<") else part
            for part in route.path.split("/")
        )
        for method in route.methods:
            operation = paths[path][method.lower()]
            assert operation.get("summary"), f"{method} {path} has no summary"
            assert operation["tags"] == [route.view.__module__.split(".")[2]], path
            named = {p["name"] for p in operation.get("parameters", ())}
            writes = getattr(route.view, "writes", lambda *_: False)
            action = dict(route.actions).get(method.lower())
            assert ("Idempotency-Key" in named) == writes(method, action), f"{method} {path}"
            assert "application/problem+json" in operation["responses"]["401"]["content"]


def test_pages_load_nothing_from_elsewhere():
    for page in ("/api/v1/docs", "/api/v1/redoc"):
        text = Client().get(page).content.decode()
        assert "/static/drf_spectacular_sidecar/" in text
        assert "cdn" not in text.lower()
