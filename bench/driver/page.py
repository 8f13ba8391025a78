# SPDX-License-Identifier: MIT
"""docs/performance.md, of the results of a run."""

from pathlib import Path

import figures
import plots
import results as r
from contenders import CONTENDERS, STOCK_LOOPS
from loads import LOADS

FINDINGS = Path(__file__).resolve().parents[1] / "findings.md"

_COLUMNS = ("proton", "proton-backports", *STOCK_LOOPS, "raw", "raw-backports")
_PLOTTED = ("echo-10x1", "echo-200x1", "echo-1000x1", "echo-10x64", "echo-200x16", "echo-10x4-16k")


def write(data, directory):
    results = r.Results(data["runs"])
    plotted = [load for load in _PLOTTED if load in results.loads()]
    images = {}
    if plotted:
        images["throughput"] = "performance-throughput.svg"
        plots.bars(results, plotted, r.throughput, "messages a second",
                   directory / images["throughput"])
        images["cpu"] = "performance-cpu.svg"
        plots.bars(results, plotted, r.cpu_us, "server CPU a message, µs", directory / images["cpu"])
    images["ratios"] = "performance-ratios.svg"
    plots.ratios(results, directory / images["ratios"])
    if "rate-200" in results.loads():
        images["latency"] = "performance-latency.svg"
        plots.percentiles(results, "rate-200", directory / images["latency"])
    sections = (_head(data), _figures(results, images), _speed(results, images),
                _latency(data, results, images), _memory(results), _syscalls(data),
                _generator(results), _findings(), _repeat())
    text = "\n\n".join(section.strip("\n") for section in sections if section)
    (directory / "performance.md").write_text(text + "\n")


def _table(header, rows):
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _image(images, name, text):
    return f"![{text}]({images[name]})" if name in images else ""


def _head(data):
    machine, settings = data["machine"], data["settings"]
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    kept = (f"The server runs on core {settings['server_core']}, the load generator on core "
            f"{settings['client_core']}.")
    return f"""
# Performance

Made by `scripts/bench --page`; do not edit. All contenders ran in one run of {settings['minutes']}
minutes, in turn, {settings['rounds']} rounds of {settings['seconds']} s for each load. Ratios are taken
within a round; what stands here is their median, with the lowest and the highest.

- Machine: {machine['cpu']}, {machine['cores']} cores{' of a virtual machine' if machine['virtual'] else ''},
  {machine['memory_gib']} GiB. {kept} Load average at the start: {machine['load_average']:.2f}.
- {machine['system']}, Linux {machine['kernel']}, {machine['compiler']}.
- {packages}.
- Loads are *connections × messages in flight on each*, of 64 bytes unless another size is named, and
  one server thread.
- Contenders: one echo program on stock libwebsockets 4.3.5 with its poll(), libuv and libev loops
  and on this project's; and *bare Proton*, a raw connection's bytes given back as they are, with no
  WebSocket. "Best" is the stock loop with the best median under that load."""


def _value(figure, value):
    unit = "" if figure.most else " ×"
    text = f"{value.value:.2f}{unit} ({value.low:.2f}–{value.high:.2f})"
    if value.by_cpu:
        return text + " *"
    return text + (f"; CPU {value.cpu:.2f} ×" if value.cpu else "")


def _cells(figure, results, backports):
    target = figure.backports if backports else figure.system
    if target is None:
        return ["", ""]
    value = figures.evaluate(figure, results, backports)
    wanted = f"{'≤' if figure.most else '≥'} {target:g}"
    if not value:
        return [wanted, "not measured"]
    text = _value(figure, value)
    return [wanted, text if figures.reached(figure, value, target) else f"**{text}**"]


def _figures(results, images):
    rows = []
    for figure in figures.FIGURES:
        against = figure.against
        if against == "best":
            value = (figures.evaluate(figure, results, False) or
                     figures.evaluate(figure, results, True))
            against = f"best: {value.against}" if value else "best"
        what = figures.TITLES[figure.what] + (" (aim)" if figure.aim else "")
        rows.append([LOADS[figure.load].title, what, against,
                     *_cells(figure, results, False), *_cells(figure, results, True)])
    header = ["load", "figure", "against", "to reach", "Proton 0.37", "to reach", "back-ports"]
    return f"""
## Figures to reach

Those that are not reached are **bold**. "CPU": compared is not throughput but how many messages a
second of the server's processor time suffices for. With *, that alone: the load generator was at its
limit.

{_table(header, rows)}

{_image(images, "ratios", "each figure beside what it is to reach")}"""


def _by_contender(results, cell, loads=None):
    columns = [name for name in _COLUMNS if any(results.has(load, name)
                                                for load in results.loads())]
    rows = []
    for load in loads or results.loads():
        cells = [cell(load, name) if results.has(load, name) else "" for name in columns]
        if any(cells):
            rows.append([LOADS[load].title, *cells])
    return _table(["load", *(CONTENDERS[name].title for name in columns)], rows)


def _threads(results):
    load = "deflate-32x4-4k"
    if load not in results.loads():
        return ""
    rows = [[CONTENDERS[name].title, f"{results.median(load, name, r.throughput) / 1000:.1f}",
             f"{results.median(load, name, r.server_share):.2f}",
             f"{results.median(load, name, r.client_share):.2f}"]
            for name in results.contenders(load)]
    header = ["server", "thousand messages a second", "cores used by the server",
              "by the load generator"]
    return f"""
### Threads

{LOADS[load].title}; the server may use all cores, and shares one with the load generator.

{_table(header, rows)}"""


def _speed(results, images):
    return f"""
## Throughput

Thousand messages a second; with broadcast, messages delivered; with set-up, connections. With *: the
load generator was at its limit.

{_by_contender(results, lambda load, name:
               f"{results.median(load, name, r.throughput) / 1000:,.1f}"
               + (" *" if results.pace(load, name) == "generator" else ""))}

{_image(images, "throughput", "throughput of all contenders")}

## Server CPU

Microseconds of the server's processor time, its own and the kernel's for it, a message.

{_by_contender(results, lambda load, name: f"{results.median(load, name, r.cpu_us):.2f}")}

{_image(images, "cpu", "server CPU a message of all contenders")}
{_threads(results)}"""


def _latency(data, results, images):
    load = "rate-200"
    if load not in results.loads():
        return ""
    rate = next(run["rate"] for run in data["runs"] if run["load"] == load)
    rows = [[CONTENDERS[name].title,
             *(f"{results.median(load, name, r.latency(p)):,.0f}" for p in _PERCENTILES)]
            for name in results.contenders(load)]
    return f"""
## Latency under load

Microseconds, {LOADS[load].title}: {rate:,.0f} messages a second, half of what the best stock loop
reached with as many connections. They are sent when they are due, whatever has come back, and
latency counts from then: what a slow answer holds up is not left out.

{_table(["server", *(f"{p} %" for p in _PERCENTILES)], rows)}

{_image(images, "latency", "percentiles of latency")}"""


_PERCENTILES = ("50", "90", "99", "99.9", "99.99")


def _memory(results):
    return f"""
## Memory

Most resident memory of the server, MiB.

{_by_contender(results, lambda load, name: f"{results.median(load, name, r.peak_kib) / 1024:.1f}")}"""


def _syscalls(data):
    counted = data["syscalls"]
    if not counted:
        return ""

    def cell(counts):
        top = ", ".join(f"{name} {count:.2f}" for name, count in list(counts.items())[:4])
        return f"{sum(counts.values()):.2f}: {top}"

    rows = [[LOADS[load].title, CONTENDERS[name].title, cell(counts)]
            for load, by_name in counted.items() for name, counts in by_name.items()]
    header = ["load", "server", "system calls a message"]
    return f"""
## System calls

Of each message, counted by `strace -c` in runs of their own. It slows the server down, so that more
comes together in one call than otherwise.

{_table(header, rows)}"""


def _generator(results):
    def cell(load, name):
        return (f"{results.median(load, name, r.server_share):.2f} / "
                f"{results.median(load, name, r.client_share):.2f} / "
                f"{results.median(load, name, r.others_share):.2f}")
    return f"""
## Who sets the pace

Share of a core that the server / the load generator / everything else used while it was measured. A
server at {r.BUSY:g} or more sets the pace itself; a load generator there is the bottleneck, and the
figures above say so.

{_by_contender(results, cell)}"""


def _findings():
    return FINDINGS.read_text() if FINDINGS.exists() else ""


def _repeat():
    return """
## To repeat it

```sh
./scripts/bench --page --json results.json    # on a machine that does nothing else
./scripts/bench --quick                       # less than a minute, as CI does
./scripts/bench --only tls --rounds 3         # a part
```

[bench/README.md](../bench/README.md) says what is measured how."""
