"""What every request may rely on: the shape of refusals, strict bodies, one answer for each key."""

import json
import uuid

import pytest

from accounts.models import Organisation, User
from api import views
from core.errors import ExchangeError
from core.models import IdempotencyRecord
from tests.api.client import Caller, operator_staff, register

pytestmark = pytest.mark.django_db

MEMBER = {"email": "new@example.cn", "name": "New", "role": "viewer"}


def is_problem(answer, status, slug):
    assert answer.status == status, answer.content
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json["type"] == f"/problems/{slug}"
    assert answer.json["status"] == status
    assert {"title", "detail", "instance", "retry_helps", "request_id"} <= set(answer.json)
    assert answer.headers["X-Request-Id"] == answer.json["request_id"]
    assert Caller().get(answer.json["type"]).status == 200, "its page is not served"
    return answer.json


# ---------------------------------------------------------------- bodies


@pytest.mark.parametrize(
    ("raw", "status", "slug"),
    [
        (b'{"email": "a@b.cn", "na', 400, "malformed-body"),
        (b'{"email": NaN}', 400, "malformed-body"),
        (b'{"email": Infinity}', 400, "malformed-body"),
        (b'{"email": -Infinity}', 400, "malformed-body"),
        (b"{} {}", 400, "malformed-body"),
        (b"\xff\xfe", 400, "malformed-body"),
        (b'{"name": "\xff"}', 400, "malformed-body"),
        (b'{"name": "a\\u0000b"}', 400, "malformed-body"),
        (b'{"name": "\\ud800"}', 400, "malformed-body"),
        (b"[" * 200_000, 400, "malformed-body"),
        (b'{"a":' * 100_000, 400, "malformed-body"),
        (b"[]", 422, "invalid-input"),
        (b"null", 422, "invalid-input"),
        (b"7", 422, "invalid-input"),
        (b'"text"', 422, "invalid-input"),
        (b"", 422, "invalid-input"),
        (b"9" * 5000, 400, "malformed-body"),
    ],
)
def test_bodies_that_are_none(raw, status, slug):
    party = register()
    is_problem(party.caller.post("/members", raw=raw), status, slug)
    assert User.objects.count() == 1


def test_a_body_of_50_mb_is_refused_by_its_length():
    party = register()
    is_problem(party.caller.post("/members", raw=b"x" * 50_000_000), 413, "body-too-large")


def test_a_body_of_unknown_length_is_not_taken_for_an_empty_one():
    party = register()
    answer = party.caller.send("PATCH", "/organisation", **{"Transfer-Encoding": "chunked"})
    is_problem(answer, 411, "length-required")


def test_a_body_of_another_type():
    party = register()
    answer = party.caller.post("/members", raw=b"a=1", content_type="text/plain")
    is_problem(answer, 415, "media-type-unsupported")


def test_every_bad_field_is_named_at_once():
    party = register()
    answer = party.caller.post(
        "/members", {"email": "nobody", "role": "emperor", "salary": 7, "name": None}
    )
    problem = is_problem(answer, 422, "invalid-input")
    assert {bad["field"] for bad in problem["errors"]} == {"email", "role", "salary", "name"}
    assert all(bad["rule"] and bad["mend"] for bad in problem["errors"])


def test_problems_speak_one_language():
    answer = Caller().send(
        "POST", "/registrations", {}, **{"Accept-Language": "zh-CN", "Accept": "text/html"}
    )
    problem = is_problem(answer, 422, "invalid-input")
    assert {bad["rule"] for bad in problem["errors"]} == {"This field is required."}


def test_addresses_and_methods_that_do_not_exist():
    is_problem(Caller().get("/nothing"), 404, "route-not-found")
    is_problem(Caller().post("/api/v2/orders", {}), 404, "route-not-found")
    answer = register().caller.send("PUT", "/members", {})
    is_problem(answer, 405, "method-not-allowed")
    assert "POST" in answer.headers["Allow"]


def test_a_nul_in_the_address():
    is_problem(register().caller.get("/audit?subject_id=%00"), 400, "malformed-request")


def test_what_nobody_foresaw_is_a_500_without_a_trace(monkeypatch):
    party = register()

    def fail(*args, **kwargs):
        raise ZeroDivisionError("secret internals")

    monkeypatch.setattr("api.v1.accounts.views.services.add_member", fail)
    answer = party.caller.post("/members", MEMBER)
    is_problem(answer, 500, "internal-error")
    assert b"secret" not in answer.content
    assert b"Traceback" not in answer.content


# ---------------------------------------------------------------- idempotency


def test_a_write_needs_a_key():
    party = register()
    problem = is_problem(
        party.caller.post("/members", MEMBER, idempotency_key=None), 400, "idempotency-key-missing"
    )
    assert "Idempotency-Key" in problem["detail"]
    answer = party.caller.post("/members", MEMBER, idempotency_key="k" * 256)
    is_problem(answer, 400, "idempotency-key-invalid")
    answer = party.caller.post("/members", MEMBER, idempotency_key="schlüssel")
    is_problem(answer, 400, "idempotency-key-invalid")


def test_a_repeat_gets_the_first_answer():
    party = register()
    first = party.caller.post("/members", MEMBER, idempotency_key="one")
    again = party.caller.post("/members", MEMBER, idempotency_key="one")
    assert first.status == again.status == 201
    assert again.content == first.content
    assert again.headers["Idempotency-Replayed"] == "true"
    assert "Idempotency-Replayed" not in first.headers
    assert User.objects.filter(email=MEMBER["email"]).count() == 1


def test_another_request_under_the_same_key_is_refused():
    party = register()
    party.caller.post("/members", MEMBER, idempotency_key="one")
    for change in (
        {"body": MEMBER | {"name": "Other"}},
        {"path": "/api-keys"},
        {"path": "/members?x=1"},
    ):
        asked = {"path": "/members", "body": MEMBER} | change
        answer = party.caller.post(asked["path"], asked["body"], idempotency_key="one")
        is_problem(answer, 422, "idempotency-key-reused")


def test_keys_of_two_callers_do_not_meet():
    one, two = register(), register()
    assert one.caller.post("/members", MEMBER, idempotency_key="k").status == 201
    answer = two.caller.post("/members", MEMBER, idempotency_key="k")
    assert answer.status == 201
    assert "Idempotency-Replayed" not in answer.headers


def test_a_refusal_stores_nothing_and_may_be_mended_under_the_same_key():
    party = register()
    before = IdempotencyRecord.objects.count()
    assert party.caller.post("/members", {}, idempotency_key="k").status == 422
    assert IdempotencyRecord.objects.count() == before
    assert party.caller.post("/members", MEMBER, idempotency_key="k").status == 201


def test_an_answer_that_shows_a_secret_is_stored_encrypted_and_replayed():
    party = register()
    body = {"name": "bot", "scopes": ["orders:read"]}
    first = party.caller.post("/api-keys", body, idempotency_key="k")
    stored = IdempotencyRecord.objects.get(key="k")
    assert first.json["key"].encode() not in bytes(stored.body)
    assert bytes(stored.body).startswith(b"k1:")
    again = party.caller.post("/api-keys", body, idempotency_key="k")
    assert again.content == first.content


# ---------------------------------------------------------------- paging


def test_pages_hold_together():
    party = register()
    for number in range(7):
        party.caller.post("/members", MEMBER | {"email": f"m{number}@example.cn"})
    whole = party.caller.get("/members?limit=200").json
    assert len(whole["results"]) == 8
    assert whole["next"] is None
    seen, cursor = [], ""
    while cursor is not None:
        page = party.caller.get(f"/members?limit=3{cursor}").json
        seen += page["results"]
        cursor = page["next"] and f"&cursor={page['next']}"
    assert seen == whole["results"]


@pytest.mark.parametrize("limit", ["0", "201", "-1", "x", "1.5", "", "٣", "99999999999"])
def test_limits_that_are_none(limit):
    problem = is_problem(register().caller.get(f"/members?limit={limit}"), 422, "invalid-input")
    assert problem["errors"][0]["field"] == "limit"


@pytest.mark.parametrize("cursor", ["x", "WyItaWQiLCJ4Il0", "%F0%9F%98%80", "e30", "A" * 500])
def test_cursors_that_are_none(cursor):
    is_problem(register().caller.get(f"/members?cursor={cursor}"), 400, "cursor-invalid")


@pytest.mark.parametrize("path", ["/members", "/api-keys", "/audit"])
def test_lists_do_not_cost_more_with_more_rows(path, django_assert_max_num_queries):
    party = register()
    party.caller.get(path)
    for number in range(3):
        party.caller.post("/members", MEMBER | {"email": f"m{number}@example.cn"})
        party.caller.post("/api-keys", {"name": "k", "scopes": []})
    with django_assert_max_num_queries(2):  # the key, and the page
        assert len(party.caller.get(path).json["results"]) >= 4


# ---------------------------------------------------------------- rate limits


def test_one_request_too_many(settings):
    settings.RATE_LIMIT_PER_MINUTE = 3
    party = register()
    answers = [party.caller.get("/organisation") for _ in range(5)]
    if len({a.headers["RateLimit-Reset"] for a in answers}) > 1 and answers[-1].status == 200:
        pytest.skip("the minute turned over in between")
    assert [a.status for a in answers] == [200, 200, 200, 429, 429]
    assert [a.headers["RateLimit-Remaining"] for a in answers] == ["2", "1", "0", "0", "0"]
    is_problem(answers[-1], 429, "rate-limited")
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 60
    assert register().caller.get("/organisation").status == 200, "another key has its own limit"


def test_all_keys_of_an_organisation_together(settings):
    settings.RATE_LIMIT_PER_MINUTE_OF_ORGANISATION = 4
    party = register()
    made = party.caller.post("/api-keys", {"name": "two", "scopes": ["organisation:read"]})
    other = Caller(made.json["key"])
    answers = [caller.get("/organisation") for caller in (party.caller, other) * 2]
    if len({a.headers["RateLimit-Reset"] for a in answers}) > 1 and answers[-1].status == 200:
        pytest.skip("the minute turned over in between")
    assert [a.status for a in answers] == [200, 200, 200, 429]
    assert [a.headers["RateLimit-Limit"] for a in answers] == ["4"] * 4
    is_problem(answers[-1], 429, "rate-limited")
    assert register().caller.get("/organisation").status == 200


def test_registrations_are_limited_by_address(settings):
    settings.RATE_LIMIT_REGISTRATIONS_PER_HOUR = 0
    is_problem(Caller().post("/registrations", {}), 429, "rate-limited")


def test_requests_pass_where_redis_is_away(settings):
    settings.RATE_LIMIT_PER_MINUTE = 0
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    answer = register().caller.get("/organisation")
    assert answer.status == 200
    assert "RateLimit-Limit" not in answer.headers


@pytest.fixture(autouse=True)
def _counters_answer_again(monkeypatch, empty_cache):
    """A test that takes Redis away must not switch limits off for the next."""
    from api import throttling

    monkeypatch.setattr(throttling, "_counters", throttling._Counters())


# ---------------------------------------------------------------- the database's own refusals


def test_a_broken_constraint_is_a_conflict_that_names_it(monkeypatch):
    party = register()

    def break_it(**kwargs):
        Organisation.objects.filter(id=party.organisation.id).update(suspended=True)

    monkeypatch.setattr("api.v1.accounts.views.services.add_member", break_it)
    answer = party.caller.post("/members", MEMBER)
    assert is_problem(answer, 409, "conflict")["constraint"] == "suspension_has_a_reason"


def test_every_view_that_writes_takes_an_idempotency_key():
    from tests.api.routes import routes

    for route in routes():
        for method in route.methods - {"GET"}:
            assert issubclass(route.view, views.WriteView), f"{method} {route.path}"


def test_errors_render_with_their_own_members():
    error = ExchangeError("x", retry_after_seconds=3)
    assert error.as_problem()["retry_after_seconds"] == 3
    assert json.loads(json.dumps(error.as_problem()))["type"] == "/problems/internal-error"


def test_the_operators_keys_differ():
    keys = {caller.key for caller in operator_staff().values()}
    assert len(keys) == 4
    assert uuid.uuid4()
