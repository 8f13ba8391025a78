# SPDX-License-Identifier: MIT
"""The plots of docs/performance.md, as SVG that is the same for the same results."""

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams.update({
    "svg.hashsalt": "lws-proton",
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
})

from matplotlib import pyplot, ticker  # noqa: E402 (once the back end is chosen)

import figures  # noqa: E402
import results as r  # noqa: E402
from contenders import CONTENDERS  # noqa: E402
from loads import LOADS  # noqa: E402

# Families of colour: ours, stock's loops, the floor.
COLOURS = {
    "proton": "#1b6ca8", "proton-backports": "#0b3c5d",
    "stock-poll": "#e08e45", "stock-uv": "#f2c57c", "stock-ev": "#b3541e",
    "raw": "#9aa5b1", "raw-backports": "#5f6b76",
}


def _save(figure, path):
    figure.savefig(path, metadata={"Date": None}, bbox_inches="tight")
    pyplot.close(figure)


def bars(results, loads, value, label, path):
    """Medians of a value, a group of bars for each load, with the lowest and the highest round."""
    names = [name for name in COLOURS if any(results.has(load, name) for load in loads)]
    width = 0.85 / len(names)
    figure, axes = pyplot.subplots(figsize=(9, 3.4))
    for i, name in enumerate(names):
        at, heights, errors = [], [], ([], [])
        for j, load in enumerate(loads):
            if not results.has(load, name):
                continue
            rounds = list(results.values(load, name, value).values())
            middle = r.median(rounds)
            at.append(j + (i - (len(names) - 1) / 2) * width)
            heights.append(middle)
            errors[0].append(middle - min(rounds))
            errors[1].append(max(rounds) - middle)
        axes.bar(at, heights, width, color=COLOURS[name], label=CONTENDERS[name].title,
                 yerr=errors, error_kw={"elinewidth": 0.7})
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.set_ylabel(label)
    axes.set_xticks(range(len(loads)), [LOADS[load].title.replace(", ", "\n", 1)
                                        for load in loads])
    axes.legend(frameon=False, fontsize=8, ncol=len(names), loc="lower center",
                bbox_to_anchor=(0.5, 1))
    _save(figure, path)


def ratios(results, path):
    """Each figure of speed beside what it is to reach."""
    rows = []
    for figure in figures.FIGURES:
        if figure.what != "speed":
            continue
        values = [(backports, figures.evaluate(figure, results, backports), target)
                  for backports, target in ((False, figure.system), (True, figure.backports))
                  if target]
        values = [entry for entry in values if entry[1]]
        if values:
            name = CONTENDERS[values[0][1].against].title
            rows.append((f"{LOADS[figure.load].title} / {name}", values))
    drawing, axes = pyplot.subplots(figsize=(8, 0.3 * len(rows) + 1))
    for i, (_, values) in enumerate(rows):
        for backports, value, target in values:
            y = i + (0.18 if backports else -0.18)
            colour = COLOURS["proton-backports" if backports else "proton"]
            axes.barh(y, value.value, 0.32, color=colour,
                      xerr=[[value.value - value.low], [value.high - value.value]],
                      error_kw={"elinewidth": 0.7})
            axes.plot([target, target], [y - 0.2, y + 0.2], color="#c0392b", linewidth=2)
    axes.axvline(1, color="#888888", linewidth=0.7)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
    axes.xaxis.set_minor_formatter(ticker.NullFormatter())
    axes.set_yticks(range(len(rows)), [row[0] for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel("times as fast (red: to be reached)")
    _save(drawing, path)


def percentiles(results, load, path):
    """Latency, from the median to the worst."""
    figure, axes = pyplot.subplots(figsize=(6, 3.4))
    for name in results.contenders(load):
        first = next(iter(results.values(load, name, lambda result: result).values()))
        known = [p for p in first["latency_us"] if p != "100"]
        axes.plot(range(len(known)),
                  [results.median(load, name, r.latency(p)) / 1000 for p in known],
                  marker="o", markersize=3, color=COLOURS[name], label=CONTENDERS[name].title)
        axes.set_xticks(range(len(known)), [f"{p} %" for p in known])
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
    axes.yaxis.set_minor_formatter(ticker.NullFormatter())
    axes.set_ylabel("latency, ms")
    axes.legend(frameon=False, fontsize=8)
    _save(figure, path)
