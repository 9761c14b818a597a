"""From files to a day and its comparison: made files, and a slice of the real ones."""

from __future__ import annotations

import argparse
import json
import os
import random
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from demo import traces
from demo.mechanisms import auction, book, command, demand, files
from demo.mechanisms.day import FIRST_SLOT, HOURS, Day
from demo.mechanisms.figures import ALL, measure
from demo.mechanisms.files import Files, Node, Quote
from demo.mechanisms.options import OptionError, Options
from demo.traces import Task, TraceError
from exchange.market.terms import Placement

DATA = Path(os.environ.get("EXCHANGE_DATA", ""))
SUPPLY = (
    "supply_openb_nodes.csv.gz",
    "supply_spot_gpu_nodes_2026.csv.gz",
    "supply_gcp_catalogue_2026-07-30.csv.gz",
    "supply_gpu_offers_21_providers_2026-05.csv.gz",
)
DEMAND = (
    "demand_openb_pods.csv.gz",
    "demand_ai_pai_100k.csv.gz",
    "demand_general_azure_100k.csv.gz",
    "demand_hpc_mustang_100k.csv.gz",
    "demand_edge_azure_llm_conv_2023.csv.gz",
)
NODES = "sn,cpu_milli,memory_mib,gpu,model\na,64000,1,0,\nb,96000,1,4,T4\nc,96000,1,4,T4\n"
CATALOGUE = (
    "provider,region,machine_type,accelerator,accelerator_count,usd_hour,usd_hour_spot,cfe_2024\n"
    "gcp,north,n2-standard-8,,,0.40,0.10,0.98\n"
    "gcp,south,n2-standard-8,,,0.60,0.20,0.10\n"
    "gcp,north,a2-highgpu-2g,a100,2,8.00,1.00,0.98\n"
    "gcp,south,a2-highgpu-2g,a100,2,12.00,2.00,0.10\n"
)
OFFERS = (
    "offer_id,gpu_model,is_spot,usd_gpu_hour\n"
    "a,NVIDIA T4,0,0.50\nb,NVIDIA T4,0,0.70\nc,Tesla T4,1,0.12\nd,NVIDIA L40S,0,0.90\n"
)


@pytest.fixture
def made(tmp_path: Path) -> list[Path]:
    paths = []
    for name, text in (("nodes", NODES), ("catalogue", CATALOGUE), ("offers", OFFERS)):
        path = tmp_path / f"{name}.csv"
        path.write_text(text)
        paths.append(path)
    return paths


def tasks(count: int = 400, resource_class: str = "intelligent", **facts: object) -> list[Task]:
    dice = random.Random(7)
    return [
        Task(
            arrival_s=100.0 * number,
            duration_s=3600.0 * dice.randint(1, 8),
            units=dice.randint(1, 3),
            resource_class=resource_class,
            **facts,  # type: ignore[arg-type]
        )
        for number in range(count)
    ]


def test_supply_files_say_what_there_is_and_at_what_price(made: list[Path]) -> None:
    read = files.read(made)
    assert read.nodes == [Node("cpu", 8), Node("T4", 4), Node("T4", 4)]
    assert Quote("A100", "north", 4.0, 0.5) in read.quotes  # for a card of two
    assert Quote("T4", "", 0.6, 0.12) in read.quotes  # medians; an L40S is no L4
    assert {quote.model for quote in read.quotes} == {"cpu", "A100", "T4"}
    assert read.green == {"north": 0.98, "south": 0.10}


def test_an_unknown_supply_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(TraceError, match=r"other\.csv is no known supply file"):
        files.read([path])


def test_pools_and_offers_of_made_files(made: list[Path]) -> None:
    options = Options(load=1.0, regions=2, firm_share=0.75, yuan_per_usd=Decimal(7))
    day = demand.plan(files.read(made), [tasks()], options)
    assert day.grades == {1: "intelligent.t4"}
    assert [(p.region, p.units, p.green_share_bp) for p in day.pools] == [
        ("north", 4, 9800),
        ("south", 4, 1000),
    ]
    of_north = [offered for offered in day.offers if offered.terms.pool == day.pools[0].id]
    # A firm offer and four blocks of reserve, an hour before each. North is 0.8 times as dear as
    # the median region (0.4 of 0.5, 4 of 5), and so is what is quoted for anywhere.
    assert [
        (o.terms.units, o.price_micro, o.terms.start_slot - FIRST_SLOT, o.at_s) for o in of_north
    ] == [
        (3, round(0.6 * 0.8 * 7 * 1e6), 0, 0),
        (1, round(0.12 * 0.8 * 7 * 1e6), 0, 0),
        (1, round(0.12 * 0.8 * 7 * 1e6), 6, 5 * 3600),
        (1, round(0.12 * 0.8 * 7 * 1e6), 12, 11 * 3600),
        (1, round(0.12 * 0.8 * 7 * 1e6), 18, 17 * 3600),
    ]


def test_demand_is_thinned_to_the_load_with_sizes_as_they_are(made: list[Path]) -> None:
    read = files.read(made)
    read.nodes *= 20
    day = demand.plan(read, [tasks(4000)], Options(load=0.5, regions=2))
    placed = [want for want in day.wanted if want.at_s > 0]
    asked = sum(want.unit_hours for want in placed)
    assert asked / (day.units_by_class["intelligent"] * HOURS) == pytest.approx(0.5, rel=0.1)
    assert {want.order.units for want in placed} <= {1, 2, 3}
    # What runs at midnight cannot wait; everything else may.
    for want in day.wanted:
        slack = want.order.latest_slot - want.order.earliest_slot - want.order.duration_slots
        assert slack == (0 if want.at_s == 0 else 12 if want.deferrable else 4)
    assert {want.order.placement for want in day.wanted} == {Placement.SAME_POOL}


def test_models_that_a_trace_accepts_are_the_grades_of_its_orders(made: list[Path]) -> None:
    read = files.read(made)
    read.nodes.append(Node("V100M16", 4))
    read.quotes.append(Quote("V100", "", 0.2, None))
    for facts, names in (
        ({}, {("intelligent.t4",), ("intelligent.v100m16",)}),  # one, drawn
        ({"models": ()}, {("intelligent.t4", "intelligent.v100m16")}),  # any
        ({"models": ("T4", "G9")}, {("intelligent.t4",)}),
        ({"models": ("G9",)}, {("",)}),  # nobody supplies it
        ({"grades": ("intelligent.t4",)}, {("intelligent.t4",)}),
    ):
        day = demand.plan(read, [tasks(**facts)], Options(regions=1, load=2.0))
        found = {
            tuple(day.grades.get(grade, "") for grade, _ in want.order.limits)
            for want in day.wanted
        }
        assert found == names


def test_a_limit_that_the_trace_gives_is_kept(made: list[Path]) -> None:
    given = tasks(limit_price_per_unit_hour=Decimal("1.25"))
    day = demand.plan(files.read(made), [given], Options(regions=2))
    assert {want.value_micro for want in day.wanted} == {1_250_000}


def test_the_seed_says_it_all(made: list[Path]) -> None:
    read, options = files.read(made), Options(regions=2)
    day = demand.plan(read, [tasks()], options)
    assert demand.plan(read, [tasks()], options) == day
    assert demand.plan(read, [tasks()], replace(options, seed=1)) != day
    first, again = auction.run(day, options), auction.run(day, options)
    assert (first.deals, first.sales, first.refusals) == (again.deals, again.sales, again.refusals)


@pytest.mark.parametrize("seed", range(8))
def test_every_mechanism_keeps_its_books_whatever_the_day(made: list[Path], seed: int) -> None:
    read, options = files.read(made), Options(seed=seed, load=1.3, regions=2, deferrable_share=0.6)
    day = demand.plan(read, [tasks(), tasks(300, "general")], options)
    for result in (
        book.run(day, waits=False),
        book.run(day, waits=True),
        auction.run(day, options),
    ):
        found = measure(day, result)  # refuses money that appears, and capacity sold twice
        for figures in found.by_class.values():
            assert max(figures.utilisation_by_hour) <= 1
            whole = figures.buyers_surplus + figures.sellers_surplus
            assert figures.welfare == pytest.approx(whole)
        served = {deal.order for deal in result.deals}
        unserved = [want for want in day.wanted if want.order.id not in served]
        reasons = found.by_class[ALL].unserved_by_reason
        assert sum(reasons.values()) == len(unserved) > 0
        assert set(reasons) <= {"price", "units", "green", "window"}


def test_the_command_writes_the_same_figures_twice(
    made: list[Path], tmp_path: Path, capsys
) -> None:
    trace = tmp_path / "trace.csv"
    rows = [f"{t.arrival_s},{t.duration_s},{t.units},{t.resource_class}\n" for t in tasks(900)]
    trace.write_text("arrival_s,duration_s,units,resource_class\n" + "".join(rows))
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    written = []
    for name in ("once", "again"):
        target = tmp_path / f"{name}.json"
        arguments = [f"--supply={path}" for path in made]
        arguments += [f"--demand={trace}", f"--json={target}", "--regions=2", "--seed=5"]
        command.run(vars(parser.parse_args(arguments)), command.console_for())
        written.append(target.read_bytes())
    assert written[0] == written[1]
    document = json.loads(written[0])
    assert set(document["mechanisms"]) == {"posted", "continuous", "auction"}
    assert document["options"]["seed"] == 5
    assert "utilisation of the day" in capsys.readouterr().out


def test_plots_are_pictures_with_both_axes_named(made: list[Path], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from demo.mechanisms import plots

    day = demand.plan(files.read(made), [tasks()], Options(regions=2))
    measured = [measure(day, book.run(day, waits=waits)) for waits in (False, True)]
    paths = plots.draw(day, measured, tmp_path)
    text = {path.stem: path.read_text() for path in paths}
    assert "utilisation (% of units)" in text["replay-utilisation"]
    assert "hour of the day (h)" in text["replay-utilisation"]
    assert "the plan's 70 %" in text["replay-utilisation"]
    assert "yuan per unit-hour" in text["replay-prices"]
    assert all(picture.lstrip().startswith("<?xml") for picture in text.values())
    again = plots.draw(day, measured, tmp_path / "again")
    assert [path.read_text() for path in again] == list(text.values())


@pytest.mark.parametrize(
    "choice", [{"auction_share": 1.5}, {"load": 0.0}, {"regions": 0}, {"limit_spread": -1.0}]
)
def test_a_choice_that_makes_no_sense_is_named(choice: dict[str, float]) -> None:
    with pytest.raises(OptionError, match=next(iter(choice))):
        Options(**choice)  # type: ignore[arg-type]


@pytest.mark.data
def test_a_slice_of_the_real_files() -> None:
    missing = [name for name in (*SUPPLY, *DEMAND) if not (DATA / name).exists()]
    if missing:
        pytest.skip(f"EXCHANGE_DATA names no folder with {', '.join(missing)}")
    read: Files = files.read([DATA / name for name in SUPPLY])
    assert len(read.nodes) == 1523 + 4278
    assert Counter(node.model for node in read.nodes)["H800"] == 219
    options = Options(orders=2000)
    day: Day = demand.plan(read, [traces.read(DATA / name) for name in DEMAND], options)
    assert len(day.wanted) == 2000
    assert {want.resource_class for want in day.wanted} == {
        "intelligent",
        "general",
        "super",
        "edge",
    }
    posted = measure(day, book.run(day, waits=False)).by_class[ALL]
    continuous = measure(day, book.run(day, waits=True)).by_class[ALL]
    auctioned = measure(day, auction.run(day, options)).by_class[ALL]
    # Resting serves whom posted prices turn away; nothing else differs between the two.
    assert continuous.orders_served > posted.orders_served > 0.5
    assert continuous.welfare > posted.welfare
    assert posted.sellers_surplus == 0 < auctioned.sellers_surplus
