"""The auction's engine against a day of a published market, where EXCHANGE_DATA names one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from demo.auction_oracle import WRONG, bracketed, run
from demo.market_days import read_days

DATA = Path(os.environ.get("EXCHANGE_DATA", ""))


@pytest.mark.data
def test_published_prices_and_blocks_of_a_day():
    if not DATA.is_dir() or not list(DATA.glob("*block_orders.csv.gz")):
        pytest.skip("EXCHANGE_DATA names no folder with an auction's files")
    day = read_days(DATA)[0]
    hours = len(day.zones) * len(day.slots)
    for change in WRONG.values():
        assert bracketed(day.problem(day.folded, **change), day.prices) < hours
    figures = run([day], say=lambda _: None)
    assert figures["bracketed"] == figures["zone_hours"] == hours
    assert figures["accepted_at_a_loss"] == 0
    assert figures["blocks_right"] >= 0.99 * figures["blocks"]
    assert figures["prej_right"] == figures["prej"]
    assert figures["welfare_over_published"] >= 1 - 1e-9


def test_a_folder_without_the_files_is_said(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"bid_curves"):
        read_days(tmp_path)
