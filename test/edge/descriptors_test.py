# SPDX-License-Identifier: MIT
"""No descriptor is left: for connections that come, and for what a connection needs besides."""

import re
import resource
import time
import unittest
from contextlib import ExitStack

from edge import KIB, LiveHeap, Peer, Server, WebSocketPeer, descriptors, processor_seconds, \
    security, until
from honest import HonestEcho

ALLOWED = 64
CLIENTS = 100
BROKER_PORTS = ("--amqp-port", "0", "--http-port", "0")
LISTENING = "cannot accept connections: "
PROGRAMS = [
    ("lws-proton-echo", ()),
    ("lws-proton-echo", ("--threads", "3")),
    ("lws-proton-echo", ("--own-proactor",)),
    ("lws-proton-mirror", ()),
    ("lws-proton-amqp-echo", ()),
    ("lws-proton-amqp-and-mirror", ()),
    ("lws-proton-one-port", ()),
    ("broker", ()),
]


def start(name, *arguments, **options):
    ports = BROKER_PORTS if name == "broker" else ("--port", "0")
    return Server(name, *arguments, ports=ports, **options)


def crowd(stack, port, count):
    """Peers that connect and say nothing; those that were let in, and those that were not."""
    peers = []
    refused = 0
    for _ in range(count):
        try:
            peers.append(stack.enter_context(Peer(port)))
        except OSError:
            refused += 1
    return peers, refused


class Descriptors(unittest.TestCase):
    def test_a_program_that_ran_out_of_descriptors_serves_and_stops_in_good_order(self):
        for name, arguments in PROGRAMS:
            with self.subTest(program=name, arguments=arguments):
                with start(name, *arguments, descriptors=ALLOWED, may_log=LISTENING) as server:
                    idle = descriptors(server.pid)
                    with ExitStack() as stack:
                        crowd(stack, server.port, CLIENTS)
                        until(lambda: descriptors(server.pid) >= ALLOWED - 1 or
                              LISTENING in server.log(), "shortage")
                    until(lambda: descriptors(server.pid) <= idle, "end of the shortage")
                    until(lambda: self.serves(server.port), "service")
        security(f"{CLIENTS} connections where {ALLOWED} descriptors are allowed, then SIGTERM",
                 "listening is put off for 100 ms while none is left", "those above it are refused",
                 f"{len(PROGRAMS)} programs: service again, exit 0")

    def test_those_that_were_refused_leave_nothing_and_who_is_there_loses_nothing(self):
        rounds = 20
        with LiveHeap() as heap, \
                start("lws-proton-echo", descriptors=ALLOWED, may_log=LISTENING) as server, \
                HonestEcho(server.port) as honest:
            until(lambda: honest.messages, "message")
            idle = descriptors(server.pid)
            sizes = []
            refused = 0
            for _ in range(rounds):
                with ExitStack() as stack:
                    refused += crowd(stack, server.port, CLIENTS)[1]
                    until(lambda: LISTENING in server.log(), "shortage")
                until(lambda: descriptors(server.pid) <= idle, "end of the shortage")
                until(lambda: self.serves(server.port), "service")
                sizes.append(heap.bytes())
            until(lambda: heap.bytes() < sizes[rounds // 4] + 96 * KIB, "memory to be given back")
            lines = server.log().count(LISTENING)
        self.assertLess(lines, 60)
        security("connections that were refused for want of a descriptor",
                 "nothing of them is kept", "a reset or no answer; a neighbour loses no byte",
                 f"{rounds} times {CLIENTS} connections: {max(0, sizes[-1] - sizes[rounds // 4])} "
                 f"bytes more, {honest.messages} messages of a neighbour whole")

    def test_a_shortage_that_lasts_costs_no_processor_and_few_lines(self):
        seconds = 3
        with start("lws-proton-echo", descriptors=ALLOWED, may_log=LISTENING) as server:
            with ExitStack() as stack:
                crowd(stack, server.port, ALLOWED)
                until(lambda: LISTENING in server.log(), "shortage")
                before = processor_seconds(server.pid)
                end = time.monotonic() + seconds
                tried = 0
                while time.monotonic() < end:
                    with ExitStack() as more:
                        crowd(more, server.port, 1)
                    tried += 1
                    time.sleep(0.01)
                spent = processor_seconds(server.pid) - before
                lines = server.log().count("\n")
            until(lambda: self.serves(server.port), "service")
        self.assertLess(spent, 0.2 * seconds)
        self.assertLessEqual(lines, seconds + 3)
        security("no descriptor for as long as others hold them",
                 "one attempt to listen again in 100 ms", "refused",
                 f"{tried} connections in {seconds} s: {spent:.2f} s of processor time, {lines} "
                 "lines of log")

    def test_programs_allow_themselves_what_the_machine_allows(self):
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        for name, arguments in PROGRAMS:
            with self.subTest(program=name, arguments=arguments):
                soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
                resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
                try:
                    server = start(name, *arguments)
                finally:
                    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                with server:
                    most = 65536 if hard == resource.RLIM_INFINITY else min(hard, 65536)
                    self.assertEqual(resource.prlimit(server.pid, resource.RLIMIT_NOFILE)[0], most)
                    self.assertLess(most - 40, server.room)
                    self.assertLess(server.room, most)

    def serves(self, port):
        try:
            with Peer(port) as peer:
                peer.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                return re.match(rb"HTTP/1.1 [24]", peer._receive_raw()) is not None
        except OSError:
            return False


if __name__ == "__main__":
    unittest.main()
