# SPDX-License-Identifier: MIT
"""What scripts/bench makes of what it measured."""

import os
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, os.environ["LWS_PROTON_BENCH_DRIVER"])

import figures  # noqa: E402
import floors  # noqa: E402
import page  # noqa: E402
import syscalls  # noqa: E402
from loads import LOADS, QUICK  # noqa: E402
from results import Results, throughput  # noqa: E402


def result(speed, cpu_us=None, server=1.0, client=0.5, p99=1000, rss=5000):
    return {"messages_per_second": speed,
            "latency_us": {"50": p99 / 2, "90": p99, "99": p99, "99.9": p99, "99.99": p99,
                           "100": p99},
            "client": {"cpu_share": client},
            "server": {"cpu_share": server, "cpu_us_per_message": cpu_us or 1e6 / speed,
                       "rss_kib": rss, "peak_rss_kib": rss},
            "others": {"cpu_share": 0.01}}


def runs(load, **results):
    """{contender: its results, one a round}"""
    return [{"load": load, "contender": contender.replace("_", "-"), "round": number,
             "result": one} for contender, rounds in results.items()
            for number, one in enumerate(rounds)]


def quick_runs(speed_of_ours):
    return [run for load, contenders in QUICK.items()
            for run in runs(load, **{name: [result(speed_of_ours if name == "proton" else 100)]
                                     for name in contenders})]


class Driver(unittest.TestCase):
    def test_ratios_are_taken_within_a_round(self):
        # The machine slows down by half: both do.
        results = Results(runs("echo-10x1", proton=[result(100), result(50), result(25)],
                               stock_poll=[result(200), result(100), result(50)]))
        self.assertEqual(results.ratios("echo-10x1", "proton", "stock-poll", throughput),
                         [0.5, 0.5, 0.5])

    def test_a_load_generator_at_its_limit_is_not_what_is_compared(self):
        figure = figures.Figure("echo-10x64", "speed", "best", 12)
        slow = [result(100, cpu_us=10000)]
        results = Results(runs("echo-10x64", stock_poll=slow, stock_uv=slow, stock_ev=slow,
                               proton=[result(500, cpu_us=800, server=0.4, client=0.99)]))
        value = figures.evaluate(figure, results, backports=False)
        self.assertTrue(value.by_cpu)
        self.assertAlmostEqual(value.value, 12.5)

    def test_the_best_stock_loop_is_the_one_with_the_best_median(self):
        results = Results(runs("echo-10x1", stock_poll=[result(10), result(90), result(11)],
                               stock_ev=[result(20), result(20), result(20)]))
        self.assertEqual(results.best_stock("echo-10x1"), "stock-ev")

    def test_memory_of_a_connection_is_what_more_of_them_add(self):
        figure = figures.Figure("idle-10000", "idle_memory", "best", 12, most=True)
        results = Results(
            runs("idle-100", proton=[result(1, rss=6000)], stock_poll=[result(1, rss=4000)]) +
            runs("idle-10000", proton=[result(1, rss=6000 + 13 * 9900)],
                 stock_poll=[result(1, rss=4000 + 6 * 9900)]))
        self.assertAlmostEqual(figures.evaluate(figure, results, backports=False).value, 7)

    def test_what_is_as_fast_as_it_should_be_keeps_every_floor(self):
        self.assertEqual(floors.broken(Results(quick_runs(speed_of_ours=2000))), [])

    def test_what_is_as_slow_as_stock_breaks_floors(self):
        broken = floors.broken(Results(quick_runs(speed_of_ours=100)))
        for load in ("echo-10x64", "echo-200x16", "broadcast-200x16", "tls-10x64"):
            self.assertTrue(any(line.startswith(load) for line in broken), load)

    def test_every_floor_is_measured_by_a_quick_run(self):
        for floor in floors.FLOORS:
            self.assertIn("proton", QUICK[floor.load])
            self.assertIn(floor.against, QUICK[floor.load])

    def test_every_figure_has_its_load_and_a_row_of_the_page(self):
        everything = [run for load in LOADS.values()
                      for run in runs(load.name, **{name: [result(100), result(110)]
                                                    for name in load.contenders})]
        for run in everything:
            run["rate"] = 50.0
        data = {"machine": {"cpu": "a processor", "cores": 2, "virtual": True, "memory_gib": 1,
                            "kernel": "6", "system": "a system", "compiler": "cc",
                            "packages": {"zlib1g": "1"}, "load_average": 0.1},
                "settings": {"rounds": 2, "seconds": 1, "minutes": 1, "server_core": 0,
                             "client_core": 1},
                "failures": [], "runs": everything,
                "syscalls": {"echo-10x1": {"proton": {"sendto": 1.0}}}}
        with tempfile.TemporaryDirectory() as directory:
            page.write(data, Path(directory))
            text = (Path(directory) / "performance.md").read_text()
            for image in Path(directory).glob("*.svg"):
                self.assertIn(f"({image.name})", text)
        self.assertNotIn("not measured", text)
        rows = text.split("## Figures to reach")[1].split("\n## ")[0]
        self.assertEqual(sum(line.startswith("| ") for line in rows.splitlines()),
                         len(figures.FIGURES) + 2)

    def test_a_summary_of_strace_is_read(self):
        text = ("    calls syscall\n--------- ----------------\n      12 epoll_wait\n"
                "       3 sendto\n--------- ----------------\n       15 total\n")
        self.assertEqual(syscalls._parse(text), {"epoll_wait": 12, "sendto": 3})


if __name__ == "__main__":
    unittest.main()
