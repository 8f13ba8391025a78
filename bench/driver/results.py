# SPDX-License-Identifier: MIT
"""What was measured, and what follows from it: medians, and ratios within a round."""

from statistics import median

from contenders import STOCK_LOOPS
from loads import LOADS

# From this share of its core on, a process cannot do more: it sets the pace.
BUSY = 0.95


class Results:
    """`runs`: dictionaries with load, contender, round and ws-load's result."""

    def __init__(self, runs):
        self._runs = {}
        for run in runs:
            rounds = self._runs.setdefault((run["load"], run["contender"]), {})
            rounds[run["round"]] = run["result"]

    def has(self, load, contender):
        return (load, contender) in self._runs

    def loads(self):
        """In the order of the table of loads."""
        ran = {load for load, _ in self._runs}
        return [load for load in LOADS if load in ran]

    def contenders(self, load):
        return [contender for name, contender in self._runs if name == load]

    def values(self, load, contender, value):
        """{round: value(result)}"""
        return {number: value(result) for number, result in self._runs[load, contender].items()}

    def median(self, load, contender, value):
        return median(self.values(load, contender, value).values())

    def best_stock(self, load, value=None, lowest=False):
        """The stock loop with the best median, of those that ran under this load."""
        value = value or throughput
        names = [name for name in STOCK_LOOPS if self.has(load, name)]
        choose = min if lowest else max
        return choose(names, key=lambda name: self.median(load, name, value), default=None)

    def ratios(self, load, ours, theirs, value, other_load=None):
        """value of `ours` by that of `theirs`, of each round that both have."""
        first = self.values(load, ours, value)
        second = self.values(other_load or load, theirs, value)
        return [first[number] / second[number] for number in first
                if second.get(number)]

    def pace(self, load, contender):
        """Who could not do more: "generator", "server", or "neither" of them."""
        if self.median(load, contender, client_share) >= BUSY:
            return "generator"
        if self.median(load, contender, server_share) >= BUSY:
            return "server"
        return "neither"

    def speeds(self, load, ours, theirs):
        """Ratios of throughput; where the generator set the pace of either, of what the server's
        processor time would suffice for."""
        by_cpu = "generator" in (self.pace(load, ours), self.pace(load, theirs))
        return self.ratios(load, ours, theirs, capacity if by_cpu else throughput), by_cpu


def throughput(result):
    return result["messages_per_second"]


def cpu_us(result):
    return result["server"]["cpu_us_per_message"]


def capacity(result):
    """Messages in a second of the server's processor time."""
    return 1e6 / cpu_us(result)


def server_share(result):
    return result["server"]["cpu_share"]


def client_share(result):
    return result["client"]["cpu_share"]


def others_share(result):
    return result["others"]["cpu_share"]


def peak_kib(result):
    return result["server"]["peak_rss_kib"]


def rss_kib(result):
    return result["server"]["rss_kib"]


def latency(percentile):
    return lambda result: result["latency_us"][percentile]
