"""Relays and sealers beside writers: every event numbered once, every row sealed once."""

import random
import threading
import time
from datetime import UTC, datetime

from django.db import connection, transaction

from accounts import audit, services
from accounts.actors import SYSTEM
from core import outbox, selectors
from core.models import OutboxEvent, OutboxPosition
from core.sealing import verify_chain
from core.verify import checks

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
WRITERS, ROUNDS = 3, 30


def test_many_writers_and_two_relays(fresh_database):
    written, stop = [], threading.Event()
    failures: list[BaseException] = []

    def guarded(work):
        def run():
            try:
                work()
            except BaseException as error:
                failures.append(error)
            finally:
                connection.close()

        return threading.Thread(target=run)

    def write():
        luck = random.Random(threading.get_ident())
        for _ in range(ROUNDS):
            with transaction.atomic():
                outbox.emit_many(
                    OutboxEvent(
                        kind="test.happened",
                        subject_id="01a208ed-720a-74eb-b0bb-9f59462bc306",
                        payload={},
                        occurred_at=NOW,
                    )
                    for _ in range(2)
                )
                audit.record(actor=SYSTEM, action="a.b", subject_kind="k", subject_id="s", now=NOW)
                time.sleep(luck.random() * 0.01)
                if luck.random() < 0.2:
                    transaction.set_rollback(True)
                else:
                    written.append(2)

    def relay():
        while not stop.is_set():
            outbox.relay()
            services.seal_audit(now=NOW)

    relays = [guarded(relay) for _ in range(2)]
    writers = [guarded(write) for _ in range(WRITERS)]
    for thread in relays + writers:
        thread.start()
    seen, ends = [], time.monotonic() + 60
    while time.monotonic() < ends:
        # A reader that follows positions while they are given misses nothing.
        seen += selectors.events_after(seen[-1].position if seen else 0, organisation_id=None)
        if not any(w.is_alive() for w in writers) and len(seen) >= sum(written):
            break
        time.sleep(0.005)
    stop.set()
    for thread in relays + writers:
        thread.join(30)
    assert failures == []
    assert len(seen) == sum(written) == OutboxEvent.objects.count()
    assert [e.position for e in seen] == list(range(1, len(seen) + 1))
    assert OutboxPosition.objects.count() == len(seen)
    assert all(finding.ok for finding in checks())
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        services.seal_audit(now=NOW)
        (finding,) = verify_chain(audit.AUDIT_CHAIN)
        if " 0 not yet sealed" in finding.detail:
            break
    assert finding.ok, finding
    assert f"{len(written)} rows" in finding.detail
