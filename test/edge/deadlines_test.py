# SPDX-License-Identifier: MIT
"""Peers that do not do what they owe, and stay: AMQP's open within the deadline, then something within
each idle time. Each is ended, and whoever does what it owes stays."""

import concurrent.futures
import os
import select
import ssl
import time
import unittest
from pathlib import Path

import amqp_frames as amqp
from edge import PATIENCE_S, Peer, WebSocketPeer, descriptors, security, until
from honest import Honest
from programs import PROGRAMS

OPEN_S = 1
IDLE_S = 2
BYTE_PAUSE_S = 0.05
SLOW_REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X-More: and more\r\n" * 50
# An empty frame.
HEARTBEAT = b"\0\0\0\x08\x02\0\0\0"
TLS = Path(os.environ["LWS_PROTON_TLS_DIR"])

# What is sent at once before the silence.
SILENCES = {
    "nothing": b"",
    "a part of AMQP's header": amqp.HEADER[:5],
    "AMQP's header": amqp.HEADER,
    "SASL's header": amqp.SASL_HEADER,
    "SASL": amqp.sasl_anonymous(),
    "SASL and AMQP's header": amqp.sasl_anonymous() + amqp.HEADER,
    "half an open": amqp.opening()[:-3],
}


class Silent:
    """One of many, all of which a loop waits for."""

    def __init__(self, what, peer, bytes_one_by_one=b""):
        self.what, self.peer = what, peer
        self.to_say = bytes_one_by_one
        self.seconds = None
        self.begun = self.next_byte = time.monotonic()
        peer.socket.settimeout(0.001)

    def fileno(self):
        return self.peer.socket.fileno()

    def say_a_byte(self):
        if self.to_say and time.monotonic() >= self.next_byte:
            self.next_byte += BYTE_PAUSE_S
            try:
                self.peer.send(self.to_say[:1])
            except OSError:
                return
            self.to_say = self.to_say[1:]

    def hear(self):
        try:
            while self.peer._receive():
                pass
        except (TimeoutError, ssl.SSLWantReadError):
            return
        except OSError:
            pass
        self.seconds = time.monotonic() - self.begun


def wait_for_all(silent, patience=PATIENCE_S, meanwhile=lambda: None):
    """The seconds that each took to be ended."""
    end = time.monotonic() + patience
    left = list(silent)
    while left:
        for one in select.select(left, [], [], BYTE_PAUSE_S)[0]:
            one.hear()
        for one in left:
            one.say_a_byte()
        meanwhile()
        left = [one for one in left if one.seconds is None]
        if time.monotonic() > end:
            raise AssertionError(f"not ended: {[one.what for one in left]}")
    return [one.seconds for one in silent]


class TlsPeer(Peer):
    def __init__(self, port):
        super().__init__(port)
        context = ssl.create_default_context(cafile=TLS / "cert.pem")
        self.socket = context.wrap_socket(self.socket, server_hostname="localhost")


def at_once(expect, programs):
    """Most of the time is waiting."""
    with concurrent.futures.ThreadPoolExecutor(len(programs)) as pool:
        for result in [pool.submit(expect, program) for program in programs]:
            result.result()


class Deadlines(unittest.TestCase):
    def silent_over_tcp(self, server):
        silent = []
        for what, sent in SILENCES.items():
            peer = Peer(server.amqp_port)
            peer.send(sent)
            silent.append(Silent(what, peer))
        # Longer than the deadline at this pace.
        silent.append(Silent("a byte at a time", Peer(server.amqp_port), amqp.opening() * 10))
        return silent

    def silent_over_websocket(self, server):
        silent = []
        for what, sent in SILENCES.items():
            peer = WebSocketPeer(server.port)
            if sent:
                peer.send(sent)
            silent.append(Silent(what + " over WebSocket", peer))
        silent.append(Silent("a byte at a time over WebSocket", WebSocketPeer(server.port),
                             amqp.opening() * 10))
        return silent

    def silent_before_the_upgrade(self, server):
        return [Silent("no request", Peer(server.port)),
                Silent("half a request", self.half_a_request(server)),
                Silent("a request, a byte at a time", Peer(server.port),
                       SLOW_REQUEST)]

    @staticmethod
    def half_a_request(server):
        peer = Peer(server.port)
        peer.send(b"GET / HTTP/1.1\r\nHost: local")
        return peer

    def expect_ended_before_the_open(self, program):
        with program.start(open_s=OPEN_S) as server, Honest(server.amqp_port) as honest:
            until(lambda: honest.messages, "honest messages")
            before = descriptors(server.pid)
            silent = self.silent_over_tcp(server) + self.silent_before_the_upgrade(server)
            if program.amqp_over_websocket:
                silent += self.silent_over_websocket(server)
            seconds = wait_for_all(silent)
            for one in silent:
                if "over WebSocket" in one.what:
                    self.assertEqual(one.peer.close_code, 1008, one.what)
                one.peer.close()
            until(lambda: descriptors(server.pid) <= before, "descriptors back")
        security(f"silent before AMQP's open, or a byte at a time ({program.name})",
                 f"a deadline from the accept or the upgrade (here {OPEN_S} s, 10 s by default)",
                 "the end; over WebSocket 1008",
                 f"{len(silent)} peers, ended after {min(seconds):.1f} to {max(seconds):.1f} s; "
                 f"{honest.messages} honest messages")

    def test_who_does_not_open_amqp_in_time_is_ended(self):
        at_once(self.expect_ended_before_the_open, PROGRAMS)

    def expect_ended_without_tls(self, program):
        with program.start("--tls-cert", TLS / "cert.pem", "--tls-key", TLS / "key.pem",
                           open_s=OPEN_S) as server, Honest(server.amqp_port) as honest:
            until(lambda: honest.messages, "honest messages")
            before = descriptors(server.pid)
            half = Peer(server.port)
            half.send(b"\x16\x03\x01\x02\x00\x01")
            silent = [Silent("no TLS", Peer(server.port)), Silent("half a client hello", half),
                      Silent("no request", TlsPeer(server.port)),
                      Silent("a request, a byte at a time", TlsPeer(server.port), SLOW_REQUEST)]
            seconds = wait_for_all(silent)
            for one in silent:
                one.peer.close()
            until(lambda: descriptors(server.pid) <= before, "descriptors back")
        security(f"silent before, in and after a TLS handshake ({program.name})",
                 f"a deadline for each (here {OPEN_S} s, 10 s by default)", "the end",
                 f"{len(silent)} peers, ended after {min(seconds):.1f} to {max(seconds):.1f} s; "
                 f"{honest.messages} honest messages")

    def test_who_does_not_send_a_request_over_tls_in_time_is_ended(self):
        at_once(self.expect_ended_without_tls, [p for p in PROGRAMS if p.amqp_over_websocket])

    def expect_ended_when_idle(self, program):
        with program.start(open_s=OPEN_S, idle_s=IDLE_S) as server, \
                Honest(server.amqp_port) as honest, Peer(server.amqp_port) as beating:
            beating.open_amqp()
            peers = [Peer(server.amqp_port)]
            if program.amqp_over_websocket:
                peers.append(WebSocketPeer(server.port))
            silent = [Silent("after the open", peer.open_amqp()) for peer in peers]
            seconds = wait_for_all(silent, meanwhile=lambda: beating.send(HEARTBEAT))
            # It was not the first deadline that ended them.
            self.assertGreater(min(seconds), OPEN_S)
            for one in silent:
                if one.peer is not peers[0]:
                    self.assertEqual(one.peer.close_code, 1008)
                one.peer.close()
            beating.send(amqp.begin(0))
            beating.read_frames(amqp.BEGIN)
        security(f"silent after AMQP's open ({program.name})",
                 f"the idle time (here {IDLE_S} s, 60 s by default)",
                 "AMQP's close with amqp:resource-limit-exceeded; over WebSocket 1008",
                 f"ended after {max(seconds):.1f} s, one with heartbeats stays; "
                 f"{honest.messages} honest messages")

    def test_who_is_silent_after_the_open_is_ended_after_the_idle_time(self):
        at_once(self.expect_ended_when_idle, [p for p in PROGRAMS if p.has_idle_option])


if __name__ == "__main__":
    unittest.main()
