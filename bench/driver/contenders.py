# SPDX-License-Identifier: MIT
"""Who is measured: servers with the same command line, and where they find Proton."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Contender:
    name: str
    title: str
    program: str
    arguments: tuple = ()
    backports: bool = False  # on the Proton of build/proton-backports/lib
    raw: bool = False        # it echoes bytes, and speaks no WebSocket

    def environment(self, build):
        environment = dict(os.environ)
        if self.backports:
            environment["LD_LIBRARY_PATH"] = str(backports_directory(build))
        return environment


def backports_directory(build):
    return Path(build) / "proton-backports" / "lib"


_STOCK = "lws-stock-echo"
_PROTON = "lws-proton-echo"
_RAW = "proton-raw-echo"
_TWO_THREADS = ("--threads", "2")

CONTENDERS = {contender.name: contender for contender in (
    Contender("proton", "lws on Proton", _PROTON),
    Contender("proton-backports", "lws on Proton with back-ports", _PROTON, backports=True),
    Contender("stock-poll", "stock lws, poll", _STOCK, ("--loop", "poll")),
    Contender("stock-uv", "stock lws, libuv", _STOCK, ("--loop", "uv")),
    Contender("stock-ev", "stock lws, libev", _STOCK, ("--loop", "ev")),
    Contender("raw", "bare Proton", _RAW, raw=True),
    Contender("raw-backports", "bare Proton with back-ports", _RAW, backports=True, raw=True),
    Contender("proton-2-threads", "lws on Proton, 2 threads", _PROTON, _TWO_THREADS),
    Contender("proton-backports-2-threads", "lws on Proton with back-ports, 2 threads", _PROTON,
              _TWO_THREADS, backports=True),
)}

STOCK_LOOPS = ("stock-poll", "stock-uv", "stock-ev")


def present(names, build):
    """Those of `names` that can run: back-ports are an option of the build."""
    there = backports_directory(build).is_dir()
    return [CONTENDERS[name] for name in names if there or not CONTENDERS[name].backports]
