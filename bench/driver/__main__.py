# SPDX-License-Identifier: MIT
"""Measures all contenders under all loads, in turn, and tells how they compare: scripts/bench."""

import argparse
import json
import re
import signal
import sys
import time
from pathlib import Path

import floors
import machine
import syscalls
from contenders import present
from loads import LOADS, QUICK
from measure import Bench, Failed
from results import Results, cpu_us, throughput

ROOT = Path(__file__).resolve().parents[2]


def options():
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--quick", action="store_true",
                        help="a few loads, in less than a minute; fails on gross regressions")
    parser.add_argument("--json", metavar="FILE", type=Path, help="everything that was measured")
    parser.add_argument("--page", action="store_true",
                        help="write docs/performance.md and its plots")
    parser.add_argument("--from", dest="earlier", metavar="FILE", type=Path,
                        help="measure nothing: an earlier run's --json")
    parser.add_argument("--only", metavar="REGEX", default="", help="only loads with such a name")
    parser.add_argument("--contenders", metavar="REGEX", default="",
                        help="only contenders with such a name")
    parser.add_argument("--rounds", metavar="N", type=int, help="repeat it so often (5; quick: 3)")
    parser.add_argument("--seconds", metavar="S", type=float,
                        help="for each measurement (1.5; quick: 0.5)")
    parser.add_argument("--build", metavar="DIR", type=Path, default=ROOT / "build",
                        help="the tree with the programs (%(default)s)")
    parser.add_argument("--certificate", metavar="DIR", type=Path,
                        help="with cert.pem and key.pem (bench-tls in the build tree)")
    o = parser.parse_args()
    o.rounds = o.rounds or (3 if o.quick else 5)
    o.seconds = o.seconds or (0.5 if o.quick else 1.5)
    o.warm_up = 0.15 if o.quick else 0.3
    o.certificate = o.certificate or o.build / "bench-tls"
    return o


def chosen_loads(o):
    chosen = [load for load in (QUICK if o.quick else LOADS) if re.search(o.only, load)]
    for name in list(chosen):
        needed = LOADS[name].half_of
        if needed and needed not in chosen:
            chosen.insert(0, needed)
    return [LOADS[name] for name in chosen]


def chosen_contenders(o, load):
    names = QUICK[load.name] if o.quick else load.contenders
    return [contender for contender in present(names, o.build)
            if re.search(o.contenders, contender.name)]


def measure_all(o, bench):
    """One load after the other; each round of it has all contenders, beginning with another."""
    runs, failures = [], []
    for load in chosen_loads(o):
        contenders = chosen_contenders(o, load)
        rate = None
        if load.half_of:
            so_far = Results(runs)
            best = so_far.best_stock(load.half_of)
            if not best:
                failures.append(f"{load.name}: no stock loop ran under {load.half_of}")
                continue
            rate = so_far.median(load.half_of, best, throughput) / 2
        for number in range(o.rounds):
            turn = number % max(len(contenders), 1)
            for contender in contenders[turn:] + contenders[:turn]:
                try:
                    result = bench.measure(contender, load, o.seconds, o.warm_up, rate)
                except Failed as failed:
                    failures.append(str(failed))
                    say(f"failed: {failed}")
                    continue
                runs.append({"load": load.name, "contender": contender.name, "round": number,
                             **({"rate": rate} if rate else {}), "result": result})
        tell(load, contenders, Results(runs))
    return runs, failures


def tell(load, contenders, results):
    say(f"{load.title}:")
    for contender in contenders:
        if not results.has(load.name, contender.name):
            continue
        line = (f"  {contender.title:40}"
                f"{results.median(load.name, contender.name, throughput):12,.0f}/s "
                f"{results.median(load.name, contender.name, cpu_us):9.2f} us of server CPU")
        if results.pace(load.name, contender.name) == "generator":
            line += ", load generator at its limit"
        say(line)


def count_syscalls(o, bench):
    why_not = syscalls.why_not()
    if why_not:
        say(f"system calls are not counted: {why_not}")
        return {}
    counted = {}
    for load in chosen_loads(o):
        if not load.syscalls:
            continue
        for contender in chosen_contenders(o, load):
            try:
                counts = syscalls.per_message(bench, contender, load)
            except Failed as failed:
                say(f"system calls are not counted: {failed}")
                continue
            counted.setdefault(load.name, {})[contender.name] = counts
    return counted


def say(line):
    print(line, flush=True)


def measured(o):
    bench = Bench(o.build, o.certificate)
    before = machine.describe()
    began = time.time()
    runs, failures = measure_all(o, bench)
    data = {
        "machine": before,
        "settings": {"rounds": o.rounds, "seconds": o.seconds, "warm_up": o.warm_up,
                     "quick": o.quick, "server_core": bench.server_core,
                     "client_core": bench.client_core},
        "failures": failures,
        "runs": runs,
        "syscalls": {} if o.quick else count_syscalls(o, bench),
    }
    data["settings"]["minutes"] = round((time.time() - began) / 60, 1)
    return data


def main():
    o = options()
    # Ends the server as well: a signal is an exception, and that ends the `with`.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    data = json.loads(o.earlier.read_text()) if o.earlier else measured(o)
    if o.json:
        o.json.write_text(json.dumps(data, indent=1) + "\n")
    if o.page:
        # Only a page needs what draws its plots.
        import page
        page.write(data, ROOT / "docs")
    lines = floors.broken(Results(data["runs"])) if o.quick else []
    for line in data["failures"] + lines:
        print(f"bench: {line}", file=sys.stderr)
    return 1 if data["failures"] or lines else 0


if __name__ == "__main__":
    sys.exit(main())
