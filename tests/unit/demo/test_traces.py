"""The readers of traces, on small made files and, where EXCHANGE_DATA names them, the real ones."""

from __future__ import annotations

import gzip
import os
from decimal import Decimal
from pathlib import Path

import pytest

from demo import replay, scenario, traces
from demo.traces import Task, TraceError

DATA = Path(os.environ.get("EXCHANGE_DATA", ""))


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path


def test_neutral_csv(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "mine.csv",
        "arrival_s,duration_s,units,resource_class,grades,limit_price_per_unit_hour\n"
        "60,1800,2,edge,,\n"
        "0,7200,4,general,general.kunpeng-920.8|general.xeon-8358.8,0.75\n",
    )
    assert traces.read(path) == [
        Task(
            0.0,
            7200.0,
            4,
            "general",
            ("general.kunpeng-920.8", "general.xeon-8358.8"),
            Decimal("0.75"),
        ),
        Task(60.0, 1800.0, 2, "edge"),
    ]


@pytest.mark.parametrize(
    ("name", "units", "resource_class"),
    [
        ("demand_ai_pai_100k.csv.gz", 20, "intelligent"),
        ("demand_general_azure_100k.csv.gz", 3, "general"),
        ("demand_hpc_mustang_100k.csv", 20, "super"),
    ],
)
def test_gaia_samples_by_name(tmp_path: Path, name: str, units: int, resource_class: str) -> None:
    path = written(tmp_path, name, "arrival_time,length,cpus\n0.5,1.25,20\n")
    assert traces.read(path) == [Task(1800.0, 4500.0, units, resource_class)]


def test_openb_pods(tmp_path: Path) -> None:
    header = (
        "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,"
        "creation_time,deletion_time,scheduled_time\n"
    )
    rows = (
        "p0,12000,1,0,0,,LS,Running,10,3610,10\n"  # general: 12 processors are two units
        "p1,6000,1,1,460,V100M16|V100M32,LS,Running,20,560,20\n"  # a share of a card is a card
        "p2,6000,1,8,1000,G2,LS,Running,30,7230,30\n"  # an undisclosed card: any
        "p3,6000,1,1,1000,,LS,Pending,40,50,\n"  # never scheduled
    )
    path = written(tmp_path, "openb.csv", header + rows)
    assert traces.read(path) == [
        Task(10.0, 3600.0, 2, "general"),
        Task(
            20.0,
            540.0,
            1,
            "intelligent",
            ("intelligent.v100-32g.1",),
            models=("V100M16", "V100M32"),
        ),
        Task(30.0, 7200.0, 8, "intelligent", models=("G2",)),
    ]


def test_requests_to_a_language_model(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "llm.csv",
        "TIMESTAMP,ContextTokens,GeneratedTokens\n"
        "2023-11-16 18:15:46.6805900,374,44\n"
        "2023-11-16 18:15:47.6805900,1900,101\n",
    )
    first, second = traces.read(path)
    assert (first.units, second.units) == (1, 3)
    assert second.arrival_s - first.arrival_s == pytest.approx(1.0)
    assert {first.resource_class, second.resource_class} == {"edge"}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "x,y\n1,2\n", "unknown columns"),
        ("a.csv", "", "unknown columns"),
        ("a.csv", "arrival_s,duration_s,units,resource_class\n", "holds no task"),
        ("a.csv", "arrival_s,duration_s,units,resource_class\n0,1,1,cloud\n", "line 2: resource"),
        ("a.csv", "arrival_s,duration_s,units,resource_class\n0,1,0,edge\n", "line 2: duration"),
        ("a.csv", "arrival_s,duration_s,units,resource_class\n0,nan,1,edge\n", "line 2: times"),
        ("a.csv", "arrival_s,duration_s,units,resource_class\n0,1,1.5,edge\n", "line 2: invalid"),
        ("a.csv", "arrival_s,duration_s,units,resource_class\n0,1\n", "line 2: int"),
        ("sample.csv", "arrival_time,length,cpus\n0,1,1\n", "its name says none of"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(TraceError, match=message):
        traces.read(written(tmp_path, name, text))


def test_a_missing_and_a_broken_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="cannot be read"):
        traces.read(tmp_path / "none.csv")
    broken = tmp_path / "broken.csv.gz"
    broken.write_bytes(gzip.compress(b"arrival_s,duration_s\n" * 1000)[:40])
    with pytest.raises(TraceError, match="cannot be read"):
        traces.read(broken)


def made(count: int, **facts: object) -> list[Task]:
    return [
        Task(float(number), 5400.0, 2, "general", **facts)  # type: ignore[arg-type]
        for number in range(count)
    ]


def test_replay_is_deterministic_and_scaled_to_the_supply() -> None:
    henan = scenario.load()
    orders = replay.plan(henan, made(3000), orders=1000)
    assert orders == replay.plan(henan, made(3000), orders=1000)
    assert len(orders) == 1000
    asked = sum(order.unit_hours_in_day for order in orders)
    supply = henan.units_by_class["general"] * 24
    # Duration is rounded up to whole hours; nobody asks for more than half of a pool.
    assert asked / supply == pytest.approx(replay.LOAD, abs=0.02)
    assert [order.at_s for order in orders] == sorted(order.at_s for order in orders)
    assert orders[-1].at_s <= replay.ARRIVALS_S
    assert all(order.duration_slots == 2 and not order.on_demand for order in orders)


def test_replay_takes_fewer_orders_where_single_units_are_too_many() -> None:
    henan = scenario.load()
    tasks = [Task(float(number), 86_400.0, 1, "quantum") for number in range(500)]
    orders = replay.plan(henan, tasks, orders=500)
    assert 0 < len(orders) < 50


def test_replay_keeps_a_limit_that_the_trace_gives_and_draws_the_others() -> None:
    henan = scenario.load()
    given = made(20, grades=("general.kunpeng-920.8",), limit_price_per_unit_hour=Decimal("0.71"))
    for order in replay.plan(henan, given, orders=20):
        assert order.limits == (("general.kunpeng-920.8", Decimal("0.71")),)
    for order in replay.plan(henan, made(20), orders=20):
        for grade, limit in order.limits:
            factor = limit / henan.reference_prices[grade]
            assert Decimal("0.999999") <= factor <= Decimal("1.400001")


def test_replay_names_a_grade_that_nobody_supplies() -> None:
    with pytest.raises(TraceError, match=r"no general\.abacus"):
        replay.plan(scenario.load(), made(3, grades=("general.abacus",)), orders=3)


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "tasks", "classes"),
    [
        ("demand_openb_pods.csv.gz", 7255, {"general", "intelligent"}),
        ("demand_ai_pai_100k.csv.gz", 99_998, {"intelligent"}),
        ("demand_general_azure_100k.csv.gz", 99_988, {"general"}),
        ("demand_hpc_mustang_100k.csv.gz", 100_000, {"super"}),
        ("demand_edge_azure_llm_conv_2023.csv.gz", 19_366, {"edge"}),
    ],
)
def test_real_traces(name: str, tasks: int, classes: set[str]) -> None:
    if not (DATA / name).exists():
        pytest.skip(f"EXCHANGE_DATA names no folder with {name}")
    read = traces.read(DATA / name)
    assert len(read) == tasks
    assert {task.resource_class for task in read} == classes
    orders = replay.plan(scenario.load(), read, orders=5000)
    assert 4990 <= len(orders) <= 5000
