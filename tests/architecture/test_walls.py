"""What import contracts cannot see: foreign keys, sizes, and the shape of the rooms."""

from __future__ import annotations

import ast
import subprocess
from pathlib import Path

import pytest
from django.apps import apps
from django.db.models import PROTECT, ForeignKey

ROOT = Path(__file__).resolve().parents[2]
# An upper row may point at a lower one, never the other way round.
ROWS = [
    "billing.settlement",
    "billing.rating",
    "billing.metering",
    "billing.periods",
    "exchange.scheduling",
    "exchange.market",
    "exchange.pricing",
    "exchange.capacity",
    "exchange.topology",
    "ledger",
    "accounts",
    "core",
]
PACKAGES = (
    "core/",
    "accounts/",
    "ledger/",
    "exchange/",
    "billing/",
    "api/",
    "console/",
    "config/",
    "exchangectl/",
    "demo/",
)
MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 60
# May only get shorter.
LONG_FILES: set[str] = set()
LONG_FUNCTIONS = {
    "exchangectl/running.py::start_exchange",  # its arguments and their docstring
    "billing/settlement/funds.py::record_top_up",
}


def own_models():
    return [m for m in apps.get_models() if m.__module__.startswith(tuple(ROWS))]


def row(model) -> int:
    return next(i for i, name in enumerate(ROWS) if model.__module__.startswith(name))


def test_foreign_keys_point_the_way_of_the_imports():
    upward = [
        f"{model.__name__}.{field.name} -> {field.related_model.__name__}"
        for model in own_models()
        for field in model._meta.get_fields()
        if isinstance(field, ForeignKey)
        and field.related_model in own_models()
        and row(field.related_model) < row(model)
    ]
    assert upward == []


def test_nothing_near_money_disappears_with_something_else():
    cascading = [
        f"{model.__name__}.{field.name}"
        for model in own_models()
        if row(model) <= ROWS.index("ledger")
        for field in model._meta.get_fields()
        if isinstance(field, ForeignKey) and field.remote_field.on_delete is not PROTECT
    ]
    assert cascading == []


def sources() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.py"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split()
    found = listed or [str(p.relative_to(ROOT)) for p in ROOT.rglob("*.py")]
    return [
        ROOT / path
        for path in found
        if path.startswith(PACKAGES) and "/migrations/" not in path and (ROOT / path).exists()
    ]


def test_files_are_about_one_thing():
    long = {
        str(path.relative_to(ROOT))
        for path in sources()
        if len(path.read_text().splitlines()) > MAX_FILE_LINES
    }
    assert long == LONG_FILES


def test_functions_fit_on_a_page():
    long = {
        f"{path.relative_to(ROOT)}::{node.name}"
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno + 1 > MAX_FUNCTION_LINES
    }
    assert long == LONG_FUNCTIONS


@pytest.mark.parametrize("room", [name.replace(".", "/") for name in ROWS[4:]])
def test_each_room_has_a_page(room):
    assert (ROOT / room / "README.md").exists()


def test_nobody_imports_the_aggregators():
    aggregators = {"exchange.models", "billing.models"}
    importing = {
        str(path.relative_to(ROOT))
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.ImportFrom) and node.module in aggregators)
        or (isinstance(node, ast.Import) and any(n.name in aggregators for n in node.names))
    }
    assert importing == set()
