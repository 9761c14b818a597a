"""The audit chain on a real server: complete ranges, and every way of tampering is found."""

import time
from datetime import UTC, datetime

import psycopg
import pytest
from django.db import connection, transaction

from accounts import audit, services
from accounts.actors import SYSTEM
from accounts.models import AuditRow, AuditSeal
from accounts.verify import checks
from core import outbox, selectors
from core.models import OutboxEvent
from core.sealing import verify_chain
from core.verify import checks as core_checks

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)


def record(number):
    with transaction.atomic():
        audit.record(
            actor=SYSTEM,
            action="test.happen",
            subject_kind="thing",
            subject_id=str(number),
            before=None,
            after={"n": number, "text": "值", "nested": [1, {"x": None}]},
            now=NOW,
        )


def until(done, *, call, seconds=20):
    """Other sessions of a shared server may hold the horizon back for a moment."""
    total = call()
    ends = time.monotonic() + seconds
    while total < done and time.monotonic() < ends:
        time.sleep(0.05)
        total += call()
    return total


def seal():
    return services.seal_audit(now=NOW)


def audit_chain():
    (finding,) = verify_chain(audit.AUDIT_CHAIN)
    return finding


def tamper(database, statement, *parameters):
    """As the owner with triggers off: what somebody with the server in hand could do."""
    with psycopg.connect(database.admin_url.rsplit("/", 1)[0] + f"/{database.name}") as raw:
        raw.execute("SET session_replication_role = replica")
        assert raw.execute(statement, parameters).rowcount >= 1


def test_rows_are_sealed_in_batches_and_verify(fresh_database):
    for number in range(5):
        record(number)
    assert until(5, call=seal) == 5
    record(5)
    assert until(1, call=seal) == 1
    assert seal() == 0
    links = list(AuditSeal.objects.order_by("number"))
    assert sum(link.row_count for link in links) == 6
    assert links[-1].xid_from == (links[-2].xid_to if len(links) > 1 else 0)
    finding = audit_chain()
    assert finding.ok, finding
    assert "6 rows" in finding.detail
    assert all(finding.ok for finding in checks())


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        (
            "UPDATE accounts_auditrow SET action = 'test.other' WHERE subject_id = '1'",
            "was changed",
        ),
        ("UPDATE accounts_auditrow SET after = '{\"n\": 2}' WHERE subject_id = '1'", "was changed"),
        (
            (
                "UPDATE accounts_auditrow SET recorded_at = recorded_at + interval '1 microsecond'"
                " WHERE subject_id = '1'"
            ),
            "was changed",
        ),
        ("DELETE FROM accounts_auditrow WHERE subject_id = '1'", "rows, 2 found"),
        (
            (
                "INSERT INTO accounts_auditrow (recorded_at, actor_kind, actor_label, action,"
                " subject_kind, subject_id, request_id, xid) SELECT recorded_at, actor_kind,"
                " actor_label, 'test.forged', subject_kind, subject_id, '', xid"
                " FROM accounts_auditrow WHERE subject_id = '1'"
            ),
            "rows, 4 found",
        ),
        (
            "UPDATE accounts_auditrow SET xid = pg_current_xact_id() WHERE subject_id = '1'",
            "rows, 2 found",
        ),
        ("UPDATE accounts_auditseal SET row_count = 2 WHERE number = 1", "hash of its own content"),
        ("DELETE FROM accounts_auditseal WHERE number = 1", "seal 1 is missing"),
        ("UPDATE accounts_auditseal SET previous_hash = hash WHERE number = 2", "does not name"),
    ],
)
def test_any_tampering_is_found(fresh_database, statement, says):
    with transaction.atomic():
        for number in range(3):
            record(number)
    assert until(3, call=seal) == 3
    record(9)
    assert until(1, call=seal) == 1
    assert audit_chain().ok
    tamper(fresh_database, statement)
    finding = audit_chain()
    assert not finding.ok
    assert says in finding.detail


def test_a_slow_writer_is_not_passed_over(fresh_database):
    """A row of an older transaction that commits late is sealed and numbered, later."""
    slow = fresh_database.connect()
    slow.execute(
        "INSERT INTO accounts_auditrow (recorded_at, actor_kind, actor_label, action, subject_kind,"
        " subject_id, request_id) VALUES (now(), 'system', 's', 'a.b', 'k', 'slow', '')"
    )
    slow.execute(
        "INSERT INTO core_outboxevent (kind, subject_id, payload, occurred_at)"
        " VALUES ('test.slow', gen_random_uuid(), '{}', now())"
    )
    record(1)
    with transaction.atomic():
        outbox.emit_many([event("test.fast")])
    assert seal() == 0
    assert outbox.relay() == 0
    slow.commit()
    slow.close()
    assert until(2, call=seal) == 2
    assert until(2, call=outbox.relay) == 2
    kinds = [e.kind for e in selectors.events_after(0, organisation_id=None)]
    assert kinds == ["test.slow", "test.fast"]
    assert audit_chain().ok
    assert all(finding.ok for finding in core_checks())


def event(kind, organisation_id=None):
    return OutboxEvent(
        kind=kind,
        organisation_id=organisation_id,
        subject_id="01a208ed-720a-74eb-b0bb-9f59462bc306",
        payload={},
        occurred_at=NOW,
    )


def test_positions_have_no_gap_though_ids_have(fresh_database):
    mine, other = (
        "01a208ed-720a-74eb-b0bb-000000000001",
        "01a208ed-720a-74eb-b0bb-000000000002",
    )
    for number in range(4):
        with transaction.atomic():
            outbox.emit_many([event("test.public"), event("test.mine", mine)])
            if number % 2:
                transaction.set_rollback(True)
        with transaction.atomic():
            outbox.emit_many([event("test.other", other)])
        outbox.relay()
    until(0, call=outbox.relay)
    ends = time.monotonic() + 20
    while selectors.last_position() < 8 and time.monotonic() < ends:
        outbox.relay()
    seen = selectors.events_after(0, organisation_id=None, limit=100)
    assert [e.kind for e in seen] == ["test.public"] * 2
    seen = selectors.events_after(0, organisation_id=mine, limit=100)
    assert [e.kind for e in seen] == ["test.public", "test.mine"] * 2
    assert selectors.last_position() == 8
    first = selectors.events_after(0, organisation_id=mine, limit=1)
    rest = selectors.events_after(first[0].position, organisation_id=mine, limit=100)
    assert first + rest == seen
    assert all(finding.ok for finding in core_checks())


@pytest.mark.parametrize(
    "table",
    ["accounts_auditrow", "accounts_auditseal", "core_outboxevent", "core_outboxposition"],
)
@pytest.mark.parametrize(
    "verb", ["UPDATE {} SET xid = xid", "DELETE FROM {}", "TRUNCATE {} CASCADE"]
)
def test_append_only_tables_refuse_their_owner_and_the_app(fresh_database, table, verb):
    column = {"accounts_auditseal": "number", "core_outboxposition": "position"}.get(table, "xid")
    statement = verb.format(table).replace("xid", column)
    for owner, refusal in (
        (True, psycopg.errors.RestrictViolation),
        (False, psycopg.errors.InsufficientPrivilege),
    ):
        with fresh_database.connect(owner=owner) as raw, pytest.raises(refusal):
            raw.execute(statement)


def test_an_event_outside_of_a_transaction_is_refused(fresh_database):
    with pytest.raises(RuntimeError, match="in the transaction"):
        outbox.emit_many([event("test.x")])


def test_old_answers_are_swept(fresh_database):
    from datetime import timedelta

    from core.models import IdempotencyRecord
    from core.services import sweep_idempotency

    for days in (5, 4, 1):
        IdempotencyRecord.objects.create(
            principal="p", key=str(days), request_hash=b"", created_at=NOW - timedelta(days=days)
        )
    assert sweep_idempotency(now=NOW, limit=1) == 1
    assert sweep_idempotency(now=NOW) == 1
    assert list(IdempotencyRecord.objects.values_list("key", flat=True)) == ["1"]
    assert connection.in_atomic_block is False
    assert AuditRow.objects.count() == 0
