# SPDX-License-Identifier: MIT
"""System calls a message, counted by strace in runs of their own, which it slows down."""

import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from measure import PATIENCE_S, Failed

# So many messages of each connection's every place in flight, and at most so many in all.
_ROUNDS = 400
_MOST = 40000


def why_not():
    """None where strace works; otherwise what it says."""
    if not shutil.which("strace"):
        return "strace is not installed"
    done = subprocess.run(["strace", "-c", "-f", "-o", "/dev/null", "true"], capture_output=True)
    return done.stderr.decode().strip() or "it fails" if done.returncode else None


def per_message(bench, contender, load):
    """{system call: how many a message}: of the difference between a long run and a short one,
    which have the same beginning and the same end."""
    places = load.arguments["connections"] * load.arguments["in-flight"]
    broadcast = load.arguments.get("mode") == "broadcast"
    # Of a broadcast one connection sends, and all receive.
    sent_at_once = load.arguments["in-flight"] if broadcast else places
    copies = load.arguments["connections"] if broadcast else 1
    more = max(min(_ROUNDS * sent_at_once, _MOST // copies), 2 * sent_at_once)
    short = _count(bench, contender, load, sent_at_once)
    long = _count(bench, contender, load, sent_at_once + more)
    counts = {name: (count - short.get(name, 0)) / (more * copies)
              for name, count in long.items()}
    return {name: count for name, count in sorted(counts.items(), key=lambda item: -item[1])
            if count >= 0.0005}


def _count(bench, contender, load, messages):
    with tempfile.TemporaryDirectory() as directory:
        summary = Path(directory) / "summary"
        # -D: strace is the child, and the server is what was started.
        wrapper = ("strace", "-D", "-c", "-f", "-U", "calls,name", "-o", str(summary))
        with bench.server(contender, load, wrapper) as (_, port):
            bench.load(contender, load, port, {"messages": messages})
        return _parse(_complete(summary))


def _complete(summary):
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        if summary.exists() and "total" in (text := summary.read_text()):
            return text
        time.sleep(0.02)  # it is another process's file: there is no event
    raise Failed("strace writes no summary")


def _parse(text):
    return {name: int(count) for count, name in re.findall(r"^\s*(\d+)\s+(\w+)\s*$", text, re.M)
            if name != "total"}
