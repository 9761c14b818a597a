"""Every word that people read is translated: sources, ``.po`` and ``.mo`` are in step, complete."""

from __future__ import annotations

import importlib
import re

import pytest
from babel.messages.mofile import read_mo
from django.apps import apps
from django.db import models

from console import words
from core.errors import ExchangeError
from tests.integration import console_catalogues as catalogues

MEND = "run `python -m tests.integration.console_catalogues` and translate what is new"
_PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|%[sd]")


@pytest.fixture(scope="module")
def template() -> catalogues.Catalog:
    return catalogues.extracted()


@pytest.mark.parametrize("language", catalogues.LANGUAGES)
def test_the_catalogue_says_exactly_what_the_sources_say(
    language: str, template: catalogues.Catalog
) -> None:
    wanted = {(message.context, message.id) for message in template if message.id}
    there = {
        (message.context, message.id) for message in catalogues.committed(language) if message.id
    }
    assert there == wanted, MEND


@pytest.mark.parametrize("language", catalogues.LANGUAGES)
def test_nothing_is_untranslated(language: str) -> None:
    assert catalogues.untranslated(catalogues.committed(language)) == [], MEND


@pytest.mark.parametrize("language", catalogues.LANGUAGES)
def test_the_compiled_catalogue_is_that_of_the_po_file(language: str) -> None:
    with catalogues.path_of(language, "mo").open("rb") as file:
        compiled = catalogues.strings(read_mo(file))
    assert compiled == catalogues.strings(catalogues.committed(language)), MEND


@pytest.mark.parametrize("language", catalogues.LANGUAGES)
def test_translations_keep_the_placeholders(language: str) -> None:
    for message in catalogues.committed(language):
        strings = message.string if isinstance(message.string, tuple) else [message.string]
        ids = message.id if isinstance(message.id, tuple) else [message.id]
        for string in strings:
            if message.id:
                assert set(_PLACEHOLDER.findall(string)) <= set(_PLACEHOLDER.findall(ids[-1]))
                assert set(_PLACEHOLDER.findall(string)) >= set(_PLACEHOLDER.findall(ids[0]))


def test_chinese_is_chinese() -> None:
    same = {str(m.id) for m in catalogues.committed("zh_Hans") if m.id and m.string == m.id}
    assert same == {"HHI", "PUE"}


# Vocabulary → the field whose codes it names.
CODES = {
    "order": ("exchange", "Order", "state"),
    "offer": ("exchange", "Offer", "state"),
    "lease": ("exchange", "Lease", "state"),
    "period": ("billing", "SettlementPeriod", "state"),
    "batch": ("billing", "SettlementBatch", "state"),
    "payout": ("billing", "Payout", "state"),
    "obligation": ("billing", "Obligation", "kind"),
    "component": ("billing", "ChargeLine", "component"),
    "class": ("exchange", "Grade", "resource_class"),
    "verification": ("accounts", "Organisation", "verification"),
    "pool": ("exchange", "Pool", "state"),
    "health": ("exchange", "Pool", "health"),
    "placement": ("exchange", "Order", "placement"),
    "time_in_force": ("exchange", "Order", "time_in_force"),
    "source": ("billing", "UsageRecord", "source"),
    "side": ("exchange", "Trade", "resting_side"),
    "hold": ("ledger", "Hold", "resolution"),
}


@pytest.mark.parametrize("vocabulary", CODES)
def test_every_code_has_a_word(vocabulary: str) -> None:
    app, model, name = CODES[vocabulary]
    field = apps.get_model(app, model)._meta.get_field(name)
    assert isinstance(field, models.Field)
    assert set(words.VOCABULARIES[vocabulary]) == {code for code, _label in field.choices}


def test_every_state_of_trading_has_a_word() -> None:
    from exchange.market.orderly.states import HALT_TRANSITIONS

    assert set(words.TRADING_STATES) == {state for state, _event in HALT_TRANSITIONS}


def test_every_role_and_kind_has_a_word() -> None:
    from accounts import roles

    assert set(words.ORGANISATION_KINDS) == roles.ORGANISATION_KINDS
    assert set(words.OPERATOR_ROLES) == roles.OPERATOR_ROLES
    assert set(words.MEMBER_ROLES) == set(roles.MEMBER_ROLES)


def test_every_refusal_that_the_console_can_meet_has_a_word() -> None:
    rooms = (
        "core",
        "accounts",
        "billing.settlement",
        "billing.periods",
        "exchange.market.orderly",
    )
    slugs = set()
    for room in rooms:
        try:
            module = importlib.import_module(f"{room}.errors")
        except ModuleNotFoundError:
            continue
        slugs |= {
            found.slug
            for found in vars(module).values()
            if isinstance(found, type) and issubclass(found, ExchangeError)
        }
    # Keys are for the API: nobody uses the console with one.
    assert {slug for slug in slugs if not slug.startswith("key-")} <= set(words.ERRORS)
