# SPDX-License-Identifier: MIT
"""What the contenders are put under: arguments of ws-load and of the servers."""

from dataclasses import dataclass

from contenders import STOCK_LOOPS

_LWS = ("proton", "proton-backports", *STOCK_LOOPS)
_ALL = (*_LWS, "raw", "raw-backports")
# Stock lws deflates wrongly without context takeover: docs/lws-findings.md.
_THREADS = ("proton", "proton-2-threads", "proton-backports", "proton-backports-2-threads")


@dataclass(frozen=True)
class Load:
    name: str
    title: str
    arguments: dict            # of ws-load: option to value
    contenders: tuple = _LWS
    server_arguments: tuple = ()
    tls: bool = False
    all_cores: bool = False    # the server is not kept to its core
    syscalls: bool = False     # are counted, too
    half_of: str = ""          # at half the rate that the best stock loop reached under this load

    def descriptors(self):
        return self.arguments.get("connections", 10) + self.arguments.get("idle", 0) + 1000


def _echo(name, title, connections, in_flight, size=64, **more):
    return Load(name, title,
                {"connections": connections, "in-flight": in_flight, "size": size}, **more)


def _broadcast(name, title, connections, in_flight, size, **more):
    return Load(name, title,
                {"mode": "broadcast", "connections": connections, "in-flight": in_flight,
                 "size": size}, server_arguments=("--broadcast",), **more)


def _idle(count):
    return Load(f"idle-{count}", f"1 × 1 beside {count:,} idle connections",
                {"connections": 1, "in-flight": 1, "idle": count})


LOADS = {load.name: load for load in (
    _echo("echo-10x1", "echo, 10 × 1", 10, 1, contenders=_ALL, syscalls=True),
    _echo("echo-200x1", "echo, 200 × 1", 200, 1, contenders=_ALL, syscalls=True),
    _echo("echo-1000x1", "echo, 1,000 × 1", 1000, 1, contenders=_ALL),
    _echo("echo-10x64", "echo, 10 × 64", 10, 64, contenders=_ALL, syscalls=True),
    _echo("echo-200x16", "echo, 200 × 16", 200, 16, contenders=_ALL, syscalls=True),
    _echo("echo-10x4-16k", "echo, 10 × 4 of 16 KiB", 10, 4, 16384, contenders=_ALL,
          syscalls=True),
    _broadcast("broadcast-200x16", "broadcast to 200, 16 of 64 B", 200, 16, 64, syscalls=True),
    _broadcast("broadcast-200x16-4k", "broadcast to 200, 16 of 4 KiB", 200, 16, 4096),
    _broadcast("broadcast-200x1", "broadcast to 200, 1 of 64 B", 200, 1, 64, syscalls=True),
    _broadcast("broadcast-1000x1", "broadcast to 1,000, 1 of 64 B", 1000, 1, 64),
    _echo("tls-10x64", "TLS echo, 10 × 64", 10, 64, tls=True),
    _echo("tls-10x1", "TLS echo, 10 × 1", 10, 1, tls=True),
    _echo("tls-10x4-16k", "TLS echo, 10 × 4 of 16 KiB", 10, 4, 16384, tls=True),
    _idle(100),
    _idle(10000),
    Load("setup", "connections set up, 50 at a time", {"mode": "setup", "connections": 50}),
    Load("deflate-32x4-4k", "permessage-deflate echo, 32 × 4 of 4 KiB",
         # Anew: else the load generator would take a quarter of what the server does.
         {"connections": 32, "in-flight": 4, "size": 4096, "deflate": True, "anew": True},
         contenders=_THREADS, all_cores=True),
    Load("rate-200", "echo, 200 connections at a fixed rate", {"connections": 200, "size": 64},
         half_of="echo-200x1"),
)}

# Some of them, with a contender or two each, for a look in less than a minute.
QUICK = {
    "echo-10x1": ("proton", "stock-poll", "raw"),
    "echo-10x64": ("proton", "stock-poll", "raw"),
    "echo-200x16": ("proton", "stock-poll"),
    "echo-10x4-16k": ("proton", "stock-poll"),
    "broadcast-200x16": ("proton", "stock-poll"),
    "tls-10x64": ("proton", "stock-poll"),
}
