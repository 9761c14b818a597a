"""docker-compose.yml: complete, and without a secret it refuses to start."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from exchangectl.programs import PROGRAMS
from tests.databases import ROOT

TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE = yaml.safe_load(TEXT)
SERVICES = COMPOSE["services"]
SECRETS = {
    "SECRET_KEY",
    "FIELD_ENCRYPTION_KEYS",
    "POSTGRES_BOOTSTRAP_PASSWORD",
    "EXCHANGE_OWNER_PASSWORD",
    "EXCHANGE_APP_PASSWORD",
    "VALKEY_PASSWORD",
}


def test_every_program_and_server_is_there() -> None:
    assert set(SERVICES) == {*PROGRAMS, "migrate", "postgres", "valkey"}
    for name in PROGRAMS:
        assert SERVICES[name]["command"] == [name]


@pytest.mark.parametrize("name", sorted(SECRETS))
def test_a_secret_has_no_default_anywhere(name: str) -> None:
    uses = re.findall(r"\$\{" + name + r"\b([^}]*)\}", TEXT)
    assert uses
    assert all(re.fullmatch(r":\?.+", rest) for rest in uses)


def test_what_looks_like_a_secret_is_one_of_those_named_here() -> None:
    variables = set(re.findall(r"\$\{([A-Z_]+)", TEXT))
    assert {v for v in variables if re.search("PASSWORD|SECRET|KEY|TOKEN", v)} == SECRETS
    addresses = re.findall(r"\w+://[^@\n]*@", TEXT)
    assert len(addresses) == 3
    for address in addresses:
        assert re.fullmatch(r"\w+://\w*:\$\{(" + "|".join(SECRETS) + r"):\?[^}]+\}@", address)


def test_every_service_that_stays_up_is_asked_for_its_health() -> None:
    image_asks = "HEALTHCHECK" in (ROOT / "Dockerfile").read_text()
    for name, service in SERVICES.items():
        if name in {"migrate", "web"}:
            continue
        assert service["healthcheck"]["test"], name
    assert image_asks
    assert SERVICES["migrate"]["healthcheck"] == {"disable": True}


def test_only_named_volumes_hold_data_and_only_web_listens_outside() -> None:
    assert set(COMPOSE["volumes"]) == {"postgres", "valkey"}
    for name, service in SERVICES.items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in COMPOSE["volumes"] or volume.endswith(":ro"), volume
        assert ("ports" in service) == (name == "web")


def test_only_the_migration_knows_the_owner_of_the_tables() -> None:
    for name, service in SERVICES.items():
        names = set(service.get("environment", {}))
        assert ("DATABASE_OWNER_URL" in names) == (name == "migrate")


def _compose(env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["docker", "compose", "--env-file", "/dev/null", "config", "--quiet"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **env},
        capture_output=True,
        text=True,
        check=False,
    )


def _has_compose() -> bool:
    try:
        asked = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    except FileNotFoundError:
        return False
    return asked.returncode == 0


@pytest.mark.skipif(not _has_compose(), reason="no docker client with compose here")
def test_compose_itself_accepts_the_file_and_refuses_it_without_a_secret() -> None:
    given = dict.fromkeys(SECRETS, "x" * 32) | {"ALLOWED_HOSTS": "exchange.example.org"}
    accepted = _compose(given)
    assert accepted.returncode == 0, accepted.stderr
    for name in given:
        refused = _compose({k: v for k, v in given.items() if k != name})
        assert refused.returncode != 0
        assert name in refused.stderr


def test_the_image_runs_as_nobody_in_particular_and_carries_only_what_it_needs() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert re.search(r"^USER 10001$", dockerfile, re.MULTILINE)
    assert len(re.findall(r"^FROM ", dockerfile, re.MULTILINE)) == 2
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    let_through = {Path(line[1:]).parts[0] for line in ignored if line.startswith("!")}
    assert {"tests", "var", ".venv", ".git", "demo"}.isdisjoint(let_through)
