# SPDX-License-Identifier: MIT
"""Memory runs out: each allocation that a connection asks for fails in turn, and all of them for a while.

    LWS_PROTON_FAILMALLOC_LIBRARY   failmalloc.c, built
    LWS_PROTON_ALLOC_STRIDE         of a TLS handshake and of a start not each, but one of so many
"""

import mmap
import os
import re
import ssl
import struct
import subprocess
import tempfile
import time
import unittest
from collections import Counter
from pathlib import Path

import amqp_frames
from edge import PATIENCE_S, SANITIZED, Peer, Server, WebSocketPeer, descriptors, program, security, \
    until
from programs import PROGRAMS

LIBRARY = os.environ["LWS_PROTON_FAILMALLOC_LIBRARY"]
STRIDE = int(os.environ.get("LWS_PROTON_ALLOC_STRIDE", "1"))
# Longer than the deadlines that the programs are given here.
HANG_S = 10
# More than any visit asks for: all of them fail.
ALL = 1 << 62
MANY = 1 << 30
TLS = Path(os.environ["LWS_PROTON_TLS_DIR"])
WITH_TLS = ("--tls-cert", TLS / "cert.pem", "--tls-key", TLS / "key.pem")
BROKER = PROGRAMS[0]


class Shortage:
    """What fails in a program that is started by it: failmalloc.c's struct control."""

    FIRST, MOST, SEEN, FAILED, SPARED, LIVE = range(0, 48, 8)
    STACK, SIZE = 48, 48 + 4096

    def __init__(self):
        self._file = tempfile.NamedTemporaryFile()
        self._file.truncate(self.SIZE)
        self._map = mmap.mmap(self._file.fileno(), self.SIZE)
        self.environment = {
            **os.environ, "LD_PRELOAD": LIBRARY, "LWS_PROTON_FAILMALLOC": self._file.name,
            "LWS_PROTON_FAILMALLOC_SPARED": str(Path(__file__).with_name("spared.txt"))}
        if SANITIZED:
            # It comes before the sanitizer's library.
            self.environment["ASAN_OPTIONS"] += ":verify_asan_link_order=0"
            self.environment["LSAN_OPTIONS"] = \
                f"suppressions={Path(__file__).with_name('lsan.supp')}:print_suppressions=0"

    def start(self, start):
        """What `start` starts, with it."""
        before = dict(os.environ)
        os.environ.update(self.environment)
        try:
            return start()
        finally:
            os.environ.clear()
            os.environ.update(before)

    def _put(self, at, value):
        struct.pack_into("<Q", self._map, at, value)

    def _get(self, at):
        return struct.unpack_from("<q", self._map, at)[0]

    def begin(self, first, most=1):
        self.end()
        for at, value in ((self.SEEN, 0), (self.FAILED, 0), (self.SPARED, 0), (self.MOST, most),
                          (self.FIRST, first)):
            self._put(at, value)

    def end(self):
        self._put(self.FIRST, 0)

    @property
    def reached(self):
        """An allocation was to fail: it did, or was spared."""
        return self._get(self.FAILED) + self._get(self.SPARED)

    @property
    def failed(self):
        return self._get(self.FAILED)

    @property
    def live(self):
        """Allocations that are not freed."""
        return self._get(self.LIVE)

    @property
    def stack(self):
        return self._map[self.STACK:].split(b"\0", 1)[0].decode()


class Amqp:
    """A client that sends to a node and receives from it."""

    def __init__(self, connect, node, messages):
        """That many are exchanged at most. Others may have left some at the node, of the same text."""
        self._peer = connect()
        self._sent = 0
        try:
            self._peer.socket.settimeout(HANG_S)
            self._peer.send(amqp_frames.opening())
            self._expect(amqp_frames.OPEN)
            self._peer.send(amqp_frames.begin(0, incoming_window=MANY) +
                            amqp_frames.attach(0, 0, amqp_frames.RECEIVER, node) +
                            amqp_frames.flow(0, 0, messages, incoming_window=MANY) +
                            amqp_frames.attach(0, 1, amqp_frames.SENDER, node))
            self._expect(amqp_frames.FLOW)
        except BaseException:
            self._peer.close()
            raise

    def _expect(self, *codes):
        """All of them, in any order; anything else that ends is a refusal."""
        missing, frames = set(codes), []
        while missing:
            ends = {amqp_frames.DETACH, amqp_frames.END, amqp_frames.CLOSE} - missing
            _, got, data = self._peer.read_frames(*missing, *ends, patience=HANG_S)[-1]
            if got in ends:
                raise ConnectionError(f"refused with {got:#x}")
            missing.remove(got)
            frames.append(data)
        return b"".join(frames)

    def exchange(self):
        """Nothing is under way after it."""
        body = b"%d " % self._sent * 30
        settled = b""
        if self._sent:
            settled = amqp_frames.disposition(0, amqp_frames.RECEIVER, self._sent - 1)
        self._peer.send(settled + amqp_frames.transfer(0, 1, self._sent, body))
        if body not in self._expect(amqp_frames.TRANSFER, amqp_frames.DISPOSITION):
            raise AssertionError("the message has changed")
        self._sent += 1

    def finish(self):
        self._peer.send(amqp_frames.disposition(0, amqp_frames.RECEIVER, self._sent - 1) +
                        amqp_frames.detach(0, 0) + amqp_frames.detach(0, 1) + amqp_frames.end(0) +
                        amqp_frames.close())
        self._peer.read_frames(amqp_frames.CLOSE, patience=HANG_S)
        if isinstance(self._peer, WebSocketPeer):
            self._peer.send_message(8, struct.pack(">H", 1000))
        self._peer.wait_for_end(HANG_S)

    def close(self):
        self._peer.close()


class Echo:
    """A client of an echo over WebSocket."""

    def __init__(self, connect, *_):
        self._peer = connect()
        self._sent = 0

    def exchange(self):
        message = b"%d " % self._sent * 500
        self._peer.send(message)
        got = b""
        while len(got) < len(message):
            more = self._peer._receive()
            if not more:
                raise ConnectionError("ended")
            got += more
        if got != message:
            raise AssertionError("the message has changed")
        self._sent += 1

    def finish(self):
        self._peer.send_message(8, struct.pack(">H", 1000))
        self._peer.wait_for_end(HANG_S)

    def close(self):
        self._peer.close()


class WebSocket(WebSocketPeer):
    """One that is there, or nothing of it."""

    def __init__(self, port, **options):
        super().__init__(port, upgrade=False)
        try:
            self.prepare()
            status = self.upgrade(**options)
            if status != 101:
                raise ConnectionError(f"status {status}")
        except BaseException:
            self.close()
            raise

    def prepare(self):
        self.socket.settimeout(HANG_S)


class TlsWebSocket(WebSocket):
    def prepare(self):
        super().prepare()
        trust = ssl.create_default_context(cafile=TLS / "cert.pem")
        self.socket = trust.wrap_socket(self.socket, server_hostname="localhost")


def visit(client, connect, node):
    """A life of a client. An OSError or AssertionError if it was not wholly served."""
    visitor = client(connect, node, 1)
    try:
        visitor.exchange()
        visitor.finish()
    finally:
        visitor.close()


def kind(line):
    """Lines of one kind are the same but for figures, names and the time."""
    return re.sub(r"\[.*?\]|\d+", "", line)


class Alloc(unittest.TestCase):
    def fail_each(self, server, shortage, client, connect, stride):
        """How many allocations there were, and how many of them failed."""
        begun = time.monotonic()
        visit(client, connect, "visit")
        neighbour = client(connect, "neighbour", MANY)
        neighbour.exchange()
        idle = descriptors(server.pid)
        # What is kept for the next time is there after the first.
        self.fail_in_turn(shortage, client, connect, neighbour, stride)
        live = self.until_quiet(server, shortage, idle)
        result = self.fail_in_turn(shortage, client, connect, neighbour, stride)
        after = self.until_quiet(server, shortage, idle)
        if not SANITIZED:
            # Otherwise leaks are told when the program ends.
            self.assertLessEqual(after, live + max(5, result[0] // 50))
        neighbour.exchange()
        neighbour.finish()
        neighbour.close()
        self.expect_few_lines(server.log(), time.monotonic() - begun)
        return result

    def fail_in_turn(self, shortage, client, connect, neighbour, stride):
        first, failed = 1, 0
        while True:
            shortage.begin(first)
            try:
                visit(client, connect, "visit")
            except TimeoutError as error:
                raise AssertionError(f"a client hangs, of allocation {first}:\n"
                                     f"{shortage.stack}") from error
            except (OSError, AssertionError):
                pass
            reached, failed = shortage.reached, failed + shortage.failed
            shortage.end()
            try:
                neighbour.exchange()
                self.until_served(client, connect)
            except (OSError, AssertionError) as error:
                raise AssertionError(f"others are not served, of allocation {first}:\n"
                                     f"{shortage.stack}") from error
            if not reached:
                return first - 1, failed
            first += stride

    @staticmethod
    def until_quiet(server, shortage, idle):
        """How many allocations there are when all visitors are gone."""
        until(lambda: descriptors(server.pid) <= idle, "end of the descriptors")
        seen = [shortage.live]

        def quiet():
            seen.append(shortage.live)
            return seen[-6:] == 6 * seen[-1:]

        until(quiet, "end of the changes in memory")
        return seen[-1]

    def until_served(self, client, connect):
        """Where nobody can be let in, it is tried again after 100 ms."""
        end = time.monotonic() + HANG_S
        while True:
            try:
                visit(client, connect, "visit")
                return
            except TimeoutError:
                raise
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.02)

    def expect_few_lines(self, log, seconds):
        ours = Counter(kind(line) for line in log.splitlines() if "E: lws_proton: " in line)
        for line, count in ours.items():
            self.assertLessEqual(count, seconds + 1, line)
        # Of lws's the log itself is the bound: a burst, and so many bytes a second.
        self.assertLess(len(log), 64 * 1024 + 18 * 1024 * seconds)

    def fail_each_of(self, what, start, client, connect, stride=1):
        shortage = Shortage()
        with shortage.start(start) as server:
            # Any line may be of the shortage.
            server.may_log = "."
            allocations, failed = self.fail_each(server, shortage, client,
                                                 lambda: connect(server), stride)
        security(f"no memory for each of a connection's allocations in turn ({what})",
                 "each of ours, of libstdc++'s, of lws's; Proton's are asked for where there is room",
                 "the end of the connection, or a refusal",
                 f"{failed} of {allocations} failed, the rest are Proton's; others were served after each"
                 if stride == 1 else
                 f"one in {stride} of {allocations} allocations, others were served after each")

    def test_of_a_tcp_peer_of_the_broker(self):
        self.fail_each_of("broker, TCP", lambda: BROKER.start(open_s=1), Amqp,
                          lambda server: Peer(server.amqp_port))

    def test_of_a_websocket_of_the_broker(self):
        self.fail_each_of("broker, WebSocket", lambda: BROKER.start(open_s=1), Amqp,
                          lambda server: WebSocket(server.port))

    def test_of_a_websocket_of_the_broker_over_tls(self):
        self.fail_each_of("broker, WebSocket over TLS",
                          lambda: BROKER.start(*WITH_TLS, open_s=1), Amqp,
                          lambda server: TlsWebSocket(server.port), stride=STRIDE)

    def test_of_a_websocket_of_the_driver_transport(self):
        self.fail_each_of("driver transport, WebSocket echo",
                          lambda: Server("lws-proton-poll-loop"), Echo,
                          lambda server: WebSocket(server.port, subprotocol="echo"))

    def test_of_a_websocket_of_the_gateway(self):
        with BROKER.start() as broker:
            self.fail_each_of("gateway", lambda: self.gateway(broker), Amqp,
                              lambda server: WebSocket(server.port))

    @staticmethod
    def gateway(broker):
        return Server("lws-proton-gateway", "--broker", f"amqp://127.0.0.1:{broker.amqp_port}",
                      "--handshake-seconds", 1, "--open-seconds", 1)

    def test_all_of_them_for_a_while(self):
        seconds = 1
        with BROKER.start() as broker:
            for name, start, connect in (
                    ("broker", lambda: BROKER.start(open_s=1), lambda s: Peer(s.amqp_port)),
                    ("gateway", lambda: self.gateway(broker), lambda s: WebSocket(s.port))):
                with self.subTest(program=name):
                    self.starve(name, start, connect, seconds)

    def starve(self, name, start, connect, seconds):
        shortage = Shortage()
        with shortage.start(start) as server:
            server.may_log = "."
            begun = time.monotonic()
            neighbour = Amqp(lambda: connect(server), "neighbour", MANY)
            neighbour.exchange()
            idle = descriptors(server.pid)
            shortage.begin(1, ALL)
            tried = 0
            while time.monotonic() < begun + seconds:
                with self.assertRaises((OSError, AssertionError)):
                    visit(Amqp, lambda: connect(server), "visit")
                tried += 1
                time.sleep(0.005)
            shortage.end()
            self.until_served(Amqp, lambda: connect(server))
            until(lambda: descriptors(server.pid) <= idle, "end of the descriptors")
            neighbour.exchange()
            neighbour.finish()
            neighbour.close()
            self.expect_few_lines(server.log(), time.monotonic() - begun)
            lines = server.log().count("\n")
        security(f"no memory at all for {seconds} s ({name})",
                 "one attempt to listen again in 100 ms", "refused",
                 f"{tried} connections, {lines} lines of log; then service, one that was there too")

    def test_of_a_program_that_starts(self):
        for name, arguments, stride in (
                ("broker", ("--amqp-port", "0", "--http-port", "0"), min(STRIDE, 3)),
                ("lws-proton-gateway", ("--broker", "amqp://127.0.0.1:1", "--port", "0"), STRIDE)):
            with self.subTest(program=name):
                self.start_each(name, arguments, stride)

    def start_each(self, name, arguments, stride):
        shortage = Shortage()
        if SANITIZED:
            # What lws leaves of a context that it could not make goes with the process.
            shortage.environment["ASAN_OPTIONS"] += ":detect_leaks=0"
        first = 1
        while True:
            shortage.begin(first)
            child = subprocess.Popen([program(name), *arguments], env=shortage.environment,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            try:
                ready = child.stdout.readline()
                reached = shortage.reached
                shortage.end()
                if ready:
                    child.terminate()
                _, log = child.communicate(timeout=PATIENCE_S)
            finally:
                child.kill()
            text = f"allocation {first}:\n{log.decode()}{shortage.stack}"
            self.assertEqual(child.returncode, 0 if ready else 1, text)
            if not ready:
                self.assertRegex(log.decode(), f"(?m)^{name}: .", text)
                self.assertLess(len(log.splitlines()), 6, text)
            if not reached:
                break
            first += stride
        security(f"no memory for each of the allocations of a start in turn ({name})", "-", "-",
                 f"{first - 1} allocations, one in {stride}: it ends with 1 and says why, or starts")


if __name__ == "__main__":
    unittest.main()
