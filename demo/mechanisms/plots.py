"""The comparison as pictures, SVG. Needs matplotlib, which only the development environment has."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from demo.mechanisms.day import HOURS, Day
from demo.mechanisms.figures import ALL, Measured
from demo.mechanisms.report import NAMES
from demo.report import PLAN_UTILISATION

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, told apart by colour-blind readers too; styles help in print.
_COLOURS: Final = {"posted": "#D55E00", "continuous": "#0072B2", "auction": "#009E73"}
_STYLES: Final = {"posted": ":", "continuous": "--", "auction": "-"}
_SETTINGS: Final[Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "compute-exchange",  # equal pictures have equal files
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
}
_PERCENT: Final = 100


class NoPlots(RuntimeError):
    """The plotting library is missing."""


def draw(day: Day, measured: Sequence[Measured], folder: Path) -> list[Path]:
    """Write the pictures into a folder; answers their paths. `NoPlots` without matplotlib."""
    try:
        import matplotlib as mpl  # noqa: PLC0415 - a tool of development
        from matplotlib import pyplot  # noqa: PLC0415
    except ImportError as error:
        raise NoPlots("plots need matplotlib: install the development dependencies") from error
    mpl.use("svg")
    folder.mkdir(parents=True, exist_ok=True)
    classes = [name for name in sorted(day.units_by_class) if measured[0].by_class[name].orders]
    written: list[Path] = []
    with mpl.rc_context(_SETTINGS):
        for name, figure in (
            ("replay-utilisation", _utilisation(pyplot, [ALL, *classes], measured)),
            ("replay-welfare", _welfare(pyplot, measured)),
            ("replay-prices", _prices(pyplot, classes, measured)),
            ("replay-delays", _delays(pyplot, measured)),
        ):
            path = folder / f"{name}.svg"
            figure.savefig(path, metadata={"Date": None})
            pyplot.close(figure)
            # A line ends where its text does, as everywhere in the repository.
            lines = path.read_text(encoding="utf-8").splitlines()
            path.write_text("\n".join(map(str.rstrip, lines)) + "\n", encoding="utf-8")
            written.append(path)
    return written


def _utilisation(pyplot: Any, classes: Sequence[str], measured: Sequence[Measured]) -> Figure:
    rows = -(-len(classes) // 2)
    figure, axes = pyplot.subplots(
        rows, 2, figsize=(9, 2.5 * rows + 0.6), sharex=True, sharey=True, layout="constrained"
    )
    panels = list(axes.flat)
    for panel, name in zip(panels, classes, strict=False):
        for m in measured:
            shares = [_PERCENT * share for share in m.by_class[name].utilisation_by_hour]
            panel.stairs(
                shares,
                range(HOURS + 1),
                baseline=None,
                label=NAMES[m.mechanism],
                color=_COLOURS[m.mechanism],
                linestyle=_STYLES[m.mechanism],
                linewidth=1.6,
            )
        panel.axhline(
            _PERCENT * PLAN_UTILISATION, color="black", linewidth=0.9, label="the plan's 70 %"
        )
        panel.set_title("all classes" if name == ALL else name, loc="left")
        panel.set_xlim(0, HOURS)
        panel.set_ylim(0, _PERCENT)
        panel.set_xticks(range(0, HOURS + 1, 4))
        panel.set_xlabel("hour of the day (h)")
        panel.set_ylabel("utilisation (% of units)")
        panel.tick_params(labelbottom=True, labelleft=True)
    for panel in panels[len(classes) :]:
        panel.set_axis_off()
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    return _made(figure)


def _welfare(pyplot: Any, measured: Sequence[Measured]) -> Figure:
    figure, panel = pyplot.subplots(figsize=(7, 3.4), layout="constrained")
    figures = [m.by_class[ALL] for m in measured]
    unit, word = _unit(max(f.welfare + f.buyers_cost for f in figures))
    names = [NAMES[m.mechanism] for m in measured]
    left = [0.0] * len(measured)
    for label, colour, amounts in (
        ("providers' asked price", "#BBBBBB", [f.buyers_cost - f.sellers_surplus for f in figures]),
        ("providers' surplus", "#E69F00", [f.sellers_surplus for f in figures]),
        ("buyers' surplus", "#56B4E9", [f.buyers_surplus for f in figures]),
    ):
        widths = [amount / unit for amount in amounts]
        bars = panel.barh(names, widths, left=left, height=0.6, label=label, color=colour)
        panel.bar_label(
            bars,
            [f"{width:.2f}" if width > max(left) / 25 else "" for width in widths],
            label_type="center",
            fontsize=8,
        )
        left = [a + b for a, b in zip(left, widths, strict=True)]
    panel.invert_yaxis()
    panel.grid(visible=False, axis="y")
    panel.set_xlabel(f"value of the served demand ({word} yuan)")
    panel.set_ylabel("mechanism (no unit)")
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return _made(figure)


def _prices(pyplot: Any, classes: Sequence[str], measured: Sequence[Measured]) -> Figure:
    from matplotlib.ticker import LogLocator, NullFormatter  # noqa: PLC0415

    figure, panel = pyplot.subplots(figsize=(7, 3.6), layout="constrained")
    for number, m in enumerate(measured):
        found = [
            (place, m.by_class[name].price_percentiles)
            for place, name in enumerate(classes)
            if m.by_class[name].price_percentiles
        ]
        middles = [prices["p50"] for _, prices in found]
        panel.errorbar(
            [place + (number - (len(measured) - 1) / 2) * 0.2 for place, _ in found],
            middles,
            yerr=[
                [prices["p50"] - prices["p10"] for _, prices in found],
                [prices["p90"] - prices["p50"] for _, prices in found],
            ],
            fmt="os^"[number % 3],
            capsize=3,
            color=_COLOURS[m.mechanism],
            label=NAMES[m.mechanism],
        )
    panel.set_xticks(range(len(classes)), classes)
    panel.set_yscale("log")
    panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    panel.yaxis.set_major_formatter("{x:g}")
    panel.yaxis.set_minor_formatter(NullFormatter())
    panel.margins(y=0.1)
    panel.set_xlabel("resource class (no unit)")
    panel.set_ylabel("price paid: p10, p50, p90\n(yuan per unit-hour)")
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return _made(figure)


def _delays(pyplot: Any, measured: Sequence[Measured]) -> Figure:
    figure, panel = pyplot.subplots(figsize=(7, 3.4), layout="constrained")
    for m in measured:
        all_ = m.by_class[ALL]
        hours = range(max(all_.delayed, default=0) + 1)
        served = accumulate(all_.delayed.get(hour, 0) for hour in hours)
        _step(panel, m.mechanism, list(hours), [_PERCENT * s / all_.orders for s in served])
    panel.set_xlabel("start of delivery after the earliest that was asked for (h)")
    panel.set_ylabel("orders started by then\n(% of all orders)")
    panel.set_xlim(left=0)
    panel.set_ylim(0, _PERCENT)
    panel.legend(loc="lower right", frameon=False)
    return _made(figure)


def _step(panel: Axes, mechanism: str, hours: list[int], shares: list[float]) -> None:
    panel.step(
        hours,
        shares,
        where="post",
        label=NAMES[mechanism],
        color=_COLOURS[mechanism],
        linestyle=_STYLES[mechanism],
        linewidth=1.6,
    )


def _unit(amount: float) -> tuple[float, str]:
    return (1e6, "million") if amount >= 1e6 else (1e3, "thousand")


def _made(figure: Any) -> Figure:
    made: Figure = figure
    return made
