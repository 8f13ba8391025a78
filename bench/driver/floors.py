# SPDX-License-Identifier: MIT
"""What `scripts/bench --quick` insists on: ratios that only a gross regression falls below.

Throughput and server CPU a message are both looked at: a machine that does other things as well
disturbs the first, and only the first tells of time spent waiting. Where both are measured the floor
is about half of what an idle machine shows, or less."""

from dataclasses import dataclass

import results as r


@dataclass(frozen=True)
class Floor:
    load: str
    against: str
    throughput: float
    capacity: float      # messages a second of server CPU
    reason: str


FLOORS = (
    Floor("echo-10x1", "stock-poll", 0.3, 0.4, "a turn of Proton's costs more than one of poll()"),
    Floor("echo-10x1", "raw", 0.4, 0.4, "lws and the glue cost less than Proton and the kernel"),
    Floor("echo-10x64", "stock-poll", 4, 4, "many messages go with one send()"),
    Floor("echo-200x16", "stock-poll", 2.5, 2.5, "the same, with fewer messages to a connection"),
    Floor("echo-10x4-16k", "stock-poll", 0.6, 0.6, "bulk is bound by the kernel's copies"),
    Floor("broadcast-200x16", "stock-poll", 2, 2, "a receiver gets its messages with one send()"),
    Floor("tls-10x64", "stock-poll", 1.3, 1.3, "records are as small as messages, sends are not"),
)


def broken(results):
    """A line for each floor that the results are below."""
    lines = []
    for floor in FLOORS:
        if not (results.has(floor.load, "proton") and results.has(floor.load, floor.against)):
            continue
        for name, value, least in (("throughput", r.throughput, floor.throughput),
                                   ("messages a second of CPU", r.capacity, floor.capacity)):
            ratios = results.ratios(floor.load, "proton", floor.against, value)
            ratio = r.median(ratios) if ratios else 0
            if ratio < least:
                lines.append(f"{floor.load}: {name} is {ratio:.2f} × {floor.against}, "
                             f"less than {least}: {floor.reason}")
    return lines
