# SPDX-License-Identifier: MIT
"""The figures to reach, and how each follows from the results."""

from dataclasses import dataclass
from statistics import median

import results as r


@dataclass(frozen=True)
class Figure:
    load: str
    what: str                 # a function of this file, below
    against: str              # a contender; "best": the best of the stock loops
    system: float = None      # to be reached on the system's Proton
    backports: float = None   # and with the back-ports
    most: bool = False        # the figure is to be at most that
    aim: bool = False         # hoped for, beyond what has to be reached


def _echo_of_one(load):
    return (Figure(load, "speed", "raw", system=0.85),
            Figure(load, "speed", "stock-ev", system=0.85, backports=1.0),
            Figure(load, "speed", "stock-uv", system=1.3),
            Figure(load, "speed", "stock-poll", backports=1.0))


FIGURES = (
    *_echo_of_one("echo-10x1"),
    *_echo_of_one("echo-200x1"),
    Figure("echo-10x64", "speed", "best", 12, 16),
    Figure("echo-200x16", "speed", "best", 6, 8),
    Figure("echo-200x16", "speed", "raw", backports=0.8, aim=True),
    Figure("echo-1000x1", "speed", "stock-poll", 0.9, 1.1),
    Figure("echo-10x4-16k", "speed", "best", 1.3, 1.6),
    Figure("broadcast-200x16", "speed", "best", 6, 8),
    Figure("broadcast-200x16-4k", "speed", "best", 6, 8),
    Figure("broadcast-200x1", "speed", "best", 0.75, 1.0),
    Figure("broadcast-1000x1", "speed", "best", 0.75, 1.0),
    Figure("tls-10x64", "speed", "best", 3, 4),
    Figure("tls-10x1", "speed", "best", 0.85, 1.0),
    Figure("tls-10x4-16k", "speed", "best", 1.1, 1.2),
    Figure("idle-10000", "idle_memory", "best", 12, 12, most=True),
    # Nothing is scanned: what is left is the memory that 10,000 connections push out of caches.
    Figure("idle-10000", "idle_cost", "", 1.1, 1.1, most=True),
    Figure("setup", "speed", "best", 0.9, 1.0),
    Figure("deflate-32x4-4k", "threads_throughput", "", 1.6, 1.6),
    Figure("deflate-32x4-4k", "threads_cpu", "", 1.6, 1.6),
    Figure("rate-200", "p99", "best", 1.0, 1.0, most=True),
)

TITLES = {
    "speed": "messages a second",
    "idle_memory": "KiB of memory a connection, more than",
    "idle_cost": "server CPU of a message, by that beside 100 idle",
    "threads_throughput": "2 threads by 1: messages a second",
    "threads_cpu": "2 threads by 1: server CPU a second",
    "p99": "99th percentile of latency",
}


@dataclass
class Value:
    """A figure as it was measured: of all rounds, the median and the extremes."""
    value: float
    low: float
    high: float
    against: str
    by_cpu: bool = False      # of the server's processor time, since the generator set the pace
    cpu: float = None         # beside a ratio of speeds, that of what server CPU suffices for

    @staticmethod
    def of(ratios, against, **more):
        """None: no round has both sides."""
        if not ratios:
            return None
        return Value(median(ratios), min(ratios), max(ratios), against, **more)


def reached(figure, value, target):
    return value.value <= target if figure.most else value.value >= target


def evaluate(figure, results, backports):
    """Its Value, on the system's Proton or with the back-ports; None: it was not measured."""
    ours = "proton-backports" if backports else "proton"
    against = figure.against
    if against == "best":
        against = results.best_stock(figure.load, **_BEST.get(figure.what, {}))
    if against == "raw" and backports:
        against = "raw-backports"
    if not results.has(figure.load, ours) or against is None:
        return None
    if against and not results.has(figure.load, against):
        return None
    return _HOW[figure.what](results, figure.load, ours, against)


def _speed(results, load, ours, against):
    ratios, by_cpu = results.speeds(load, ours, against)
    cpu = results.ratios(load, ours, against, r.capacity)
    return Value.of(ratios, against, by_cpu=by_cpu, cpu=median(cpu or [0]))


def _p99(results, load, ours, against):
    return Value.of(results.ratios(load, ours, against, r.latency("99")), against)


# With so many fewer idle connections.
_FEW, _MANY = "idle-100", "idle-10000"


def _kib_a_connection(results, contender):
    more = 10000 - 100
    many = results.values(_MANY, contender, r.rss_kib)
    few = results.values(_FEW, contender, r.rss_kib)
    return [(many[number] - few[number]) / more for number in many if number in few]


def _idle_memory(results, _, ours, against):
    if not (results.has(_FEW, ours) and results.has(_FEW, against)):
        return None
    stock = median(_kib_a_connection(results, against))
    return Value.of([kib - stock for kib in _kib_a_connection(results, ours)], against)


def _idle_cost(results, load, ours, _):
    if not results.has(_FEW, ours):
        return None
    return Value.of(results.ratios(load, ours, ours, r.cpu_us, other_load=_FEW), "")


def _threads(value):
    def by_one(results, load, ours, _):
        two = f"{ours}-2-threads"
        if not results.has(load, two):
            return None
        return Value.of(results.ratios(load, two, ours, value), "")
    return by_one


_HOW = {
    "speed": _speed,
    "p99": _p99,
    "idle_memory": _idle_memory,
    "idle_cost": _idle_cost,
    "threads_throughput": _threads(r.throughput),
    "threads_cpu": _threads(r.server_share),
}

# The best in what is measured.
_BEST = {
    "p99": {"value": r.latency("99"), "lowest": True},
    "idle_memory": {"value": r.rss_kib, "lowest": True},
}
