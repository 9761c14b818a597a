"""How the benchmark decides: turns, medians, and what is kept of an earlier run."""

from __future__ import annotations

from collections.abc import Iterator

from tests.bench.contest import Contest, Figure, decide, merged, table


def figure(name: str, ratio: float = 1.0) -> Figure:
    return Figure(name, "what it is", 2.0, 2.0, ratio, "per second", "higher")


def test_runs_alternate_and_the_median_of_the_ratios_counts() -> None:
    calls: list[str] = []
    values: Iterator[float] = iter([10.0, 30.0, 20.0])
    references: Iterator[float] = iter([10.0, 10.0, 40.0])

    def run() -> float:
        calls.append("value")
        return next(values)

    def reference() -> float:
        calls.append("reference")
        return next(references)

    decided = decide(
        Contest("room.figure", "what it is", "per second", "higher", run, reference), rounds=3
    )
    assert calls == ["value", "reference", "reference", "value", "value", "reference"]
    assert (decided.value, decided.reference, decided.ratio) == (20.0, 10.0, 1.0)


def test_a_run_of_one_room_keeps_the_figures_of_the_others() -> None:
    old = [figure("ledger.batch").as_json(), figure("market.gone").as_json()]
    new = [figure("market.durable", 0.5)]
    assert [(row["name"], row["ratio"]) for row in merged(old, new)] == [
        ("ledger.batch", 1.0),
        ("market.durable", 0.5),
    ]


def test_figures_have_exactly_the_documented_keys() -> None:
    assert set(figure("a.b").as_json()) == {
        "name",
        "measure",
        "value",
        "reference",
        "ratio",
        "unit",
        "better",
    }
    assert "a.b" in table([figure("a.b")])
