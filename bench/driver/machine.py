# SPDX-License-Identifier: MIT
"""What it was measured on, in words that tell the machine and nobody's name."""

import os
import platform
import re
import subprocess
from pathlib import Path


def describe():
    cpuinfo = Path("/proc/cpuinfo").read_text()
    meminfo = Path("/proc/meminfo").read_text()
    model = re.search(r"^model name\s*: (.*)$", cpuinfo, re.M)
    total = re.search(r"^MemTotal:\s*(\d+) kB$", meminfo, re.M)
    release = dict(re.findall(r'^(\w+)="?(.*?)"?$', Path("/etc/os-release").read_text(), re.M))
    return {
        "cpu": model.group(1) if model else platform.processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(int(total.group(1)) / 2**20),
        "kernel": platform.release().split("-")[0],
        "system": release.get("PRETTY_NAME", "unknown"),
        "virtual": "hypervisor" in cpuinfo,
        "compiler": _first_line("cc", "--version"),
        "packages": _packages("libqpid-proton*", "libssl3*", "libuv1*", "libev4*", "zlib1g"),
        "load_average": os.getloadavg()[0],
    }


def _first_line(*command):
    return subprocess.run(command, capture_output=True, text=True).stdout.splitlines()[0]


def _packages(*patterns):
    """{installed package: version}, of libraries that programs run with. Names differ between
    releases: libssl3, libssl3t64."""
    form = "${db:Status-Status} ${Package} ${Version}\\n"
    listed = subprocess.run(["dpkg-query", "--show", "--showformat", form, *patterns],
                            capture_output=True, text=True).stdout
    found = re.findall(r"^installed (\S+) (\S+)$", listed, re.M)
    return {name: version for name, version in found if not name.endswith("-dev")}
