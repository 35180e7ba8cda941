"""uv run --with matplotlib==3.10.* python -m benchmarks.case_study.plot FOLDER FILE.svg: draw the runs."""

import sys
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from benchmarks.case_study import measure, report
from benchmarks.case_study.__main__ import CALM
from benchmarks.case_study.report import Played
from benchmarks.case_study.world import World, of

PANELS = (
    ("usd", "token cost of 1,000 requests, $"),
    ("p95_s", "p95, s"),
    ("incidents", "incidents an hour"),
    ("touched", "requests answered by bad releases"),
)
OFF, ON = "#b0563b", "#2f6f8f"


def main() -> None:
    """Draw off and on with their intervals, each seed as a point, and what repeats and short answers save."""
    mpl.rcParams |= {
        "svg.hashsalt": "slipway",
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    runs, known = report.load(Path(sys.argv[1])), World()
    figure, axes = plt.subplots(2, 3, figsize=(9.5, 5.4), layout="constrained")
    for axis, (key, title) in zip(axes.flat, PANELS, strict=False):
        pair(axis, report.usual(runs, known), key, title)
    for axis, what, title in (
        (axes.flat[4], "repeats", "share of requests that repeat"),
        (axes.flat[5], "short", "words of a short answer (0: not asked for)"),
    ):
        swept(axis, runs, what, title)
    figure.savefig(sys.argv[2], metadata={"Date": None})


def pair(axis: Axes, runs: dict[str, list[Played]], key: str, title: str) -> None:
    """Two bars with the 95 % interval of their mean over seeds, and a point a seed."""
    for place, (arm, colour) in enumerate((("off", OFF), ("on", ON))):
        values = report.values(runs[arm], key)
        middle, half = measure.mean(values)
        axis.bar(place, middle, width=0.6, color=colour, alpha=0.55, yerr=half, capsize=4)
        axis.scatter([place] * len(values), values, s=10, color=colour, zorder=3)
    axis.set_xticks([0, 1], ["off", "on"])
    axis.set_ylim(bottom=0)
    axis.set_title(title, fontsize=9)


def swept(axis: Axes, runs: list[Played], what: str, title: str) -> None:
    """What is saved of the tokens' cost and of p95, in percent, over one assumption."""
    calm = of(World(), CALM)
    [off] = [run.measured for run in runs if run.arm == "off" and run.world == calm]
    found = sorted(
        (getattr(run.world, what), run.measured)
        for run in runs
        if run.arm == "on" and of(run.world, {what: getattr(calm, what)}) == calm
    )
    for key, colour, said in (("usd", ON, "cost"), ("p95_s", "#7a5ea8", "p95")):
        saved = [100 * (1 - getattr(one, key) / getattr(off, key)) for _, one in found]
        axis.plot([value for value, _ in found], saved, marker="o", color=colour, label=f"{said}, % less")
    axis.set_ylim(0, 100)
    axis.set_title(title, fontsize=9)
    axis.legend(frameon=False, fontsize=8)


if __name__ == "__main__":
    main()
