"""The exchange that tests share: what they may do to it."""

from __future__ import annotations

import json
import urllib.request

import pytest

from exchangectl.process import StartError, claim_port, free_port, wait_until


def answer(exchange) -> dict:
    with urllib.request.urlopen(f"{exchange.base_url}/readyz") as response:
        return json.load(response)


def test_it_runs_on_a_database_of_its_own_as_the_app_role(exchange) -> None:
    assert answer(exchange)["status"] == "ok"
    with exchange.connect() as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("exchange_app",)
        sessions = connection.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchone()
        assert sessions is not None
        assert sessions[0] >= 1
    with exchange.connect(owner=True) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("exchange_owner",)
    assert "DATABASE_OWNER_URL" not in exchange.env


def test_a_killed_worker_is_started_again_and_a_killed_pool_replaces_itself(exchange) -> None:
    exchange.kill("matcher")
    assert not exchange.children["matcher"].alive
    exchange.start("matcher")
    assert exchange.kill_forked("matcher") == 1
    wait_until(lambda: len(exchange.forked("matcher")) == 1, timeout_s=20, what="pool not replaced")
    assert exchange.children["matcher"].alive


def test_valkey_may_be_emptied_killed_and_started_again(exchange) -> None:
    with exchange.redis() as client:
        client.set("mark", "1")
    exchange.restart_valkey(kill=True, lose_data=True)
    with exchange.redis() as client:
        assert client.get("mark") is None
    wait_until(lambda: answer(exchange)["broker"] == "ok", timeout_s=20, what="broker not back")
    exchange.revive()
    assert all(child.alive for child in exchange.children.values())


def test_two_exchanges_never_share_a_port() -> None:
    """The kernel would share it between them, and each would get half of the other's requests."""
    port = free_port()
    claim = claim_port(port)
    with pytest.raises(StartError, match=f"port {port} belongs to another exchange"):
        claim_port(port)
    claim.close()
    claim_port(port).close()
