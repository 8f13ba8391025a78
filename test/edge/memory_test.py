# SPDX-License-Identifier: MIT
"""Memory that one AMQP peer can make: it sends as far as it goes, and reads nothing."""

import re
import struct
import time
import unittest
from pathlib import Path

import amqp_frames as amqp
from edge import KIB, MIB, Peer, Server, Watch, WebSocketPeer, memory, security, until
from honest import Honest
from programs import PROGRAMS

HEADER = (Path(__file__).resolve().parents[2] / "proton-glue/include/lws_proton_amqp.h").read_text()


def macro(name):
    return eval(re.search(rf"#define LWS_PROTON_AMQP_{name}\s+(.+)", HEADER)[1].replace(
        "(size_t)", ""))


STATED = macro("BYTES") + macro("CONNECTION")
SENT = 16 * MIB
BROKER = ("broker", ("--amqp-port", "0", "--http-port", "0"))
ECHO = ("lws-proton-amqp-echo", ("--port", "0"))
MAX_FRAME = 16 * KIB


def times(piece, size=SENT):
    return piece * (size // len(piece))


def values(size):
    """A list of so many bytes, each of them a value."""
    return amqp.Encoded(b"\xd0" + struct.pack(">II", size + 4, size) + b"\x43" * size)


def sender(channel, handle, address="q", name=None):
    return amqp.attach(channel, handle, amqp.SENDER, address, name)


def receiver(channel, handle, address="q", name=None):
    return amqp.attach(channel, handle, amqp.RECEIVER, address, name)


def large_attach(handle, size=MAX_FRAME - 256):
    return amqp.frame(0, amqp.ATTACH, f"large-{handle}", handle, amqp.SENDER, None, None,
                      amqp.Described(amqp.SOURCE, "q"), amqp.Described(amqp.TARGET, "q"), None, None,
                      0, None, None, None, values(size))


def links(sessions, count):
    return b"".join(amqp.begin(c) + b"".join(sender(c, h) for h in range(count))
                    for c in range(sessions))


def unfinished(sessions, count, size):
    return b"".join(amqp.transfer(c, h, h, b"u" * size, more=True)
                    for c in range(sessions) for h in range(count))


def error(size=0, text=""):
    return amqp.Described(amqp.ERROR, amqp.Symbol("x:y"), text, values(size) if size else None)


def rejections():
    """Each of the broker's messages is rejected with a large map, none is settled."""
    info = amqp.Described(amqp.REJECTED, error(MAX_FRAME - 256))
    return b"".join(amqp.frame(0, amqp.DISPOSITION, amqp.RECEIVER, n, None, False, info)
                    for n in range(1000))


SESSION = amqp.begin(0)
BEGIN, ATTACH = b"\0S\x11", b"\0S\x12"

# What it sends once AMQP is open, and, of a pair, what it sends once that has been answered.
ATTACKS = {
    "begins and ends sessions":
        lambda: times(amqp.begin(1) + amqp.end(1)),
    "begins sessions on one channel":
        lambda: times(amqp.begin(1)),
    "begins and ends sessions, with large errors":
        lambda: times(amqp.begin(1) + amqp.frame(1, amqp.END, error(MAX_FRAME - 256))),
    "attaches and detaches":
        lambda: (SESSION, times(sender(0, 0) + amqp.detach(0, 0))),
    "attaches":
        lambda: (SESSION, b"".join(sender(0, n) for n in range(SENT // 200))),
    "attaches with large maps":
        lambda: (SESSION, b"".join(large_attach(n) for n in range(SENT // MAX_FRAME))),
    "attaches with large maps, and detaches":
        lambda: (SESSION, times(large_attach(0) + amqp.detach(0, 0))),
    "attaches with long names, and detaches":
        lambda: (SESSION, times(sender(0, 0, "q", "n" * 14 * KIB) + amqp.detach(0, 0))),
    "flows":
        lambda: (SESSION + receiver(0, 0), times(amqp.flow(0, 0, 100, echo=True), SENT // 2)),
    "sends dispositions":
        lambda: (SESSION + receiver(0, 0), times(amqp.disposition(0, amqp.RECEIVER, 0))),
    "leaves large messages unfinished":
        lambda: (links(250, 4), unfinished(250, 4, 15 * KIB)),
    "leaves small messages unfinished":
        lambda: (links(40, 25), unfinished(40, 25, 10)),
    "sends tiny messages":
        lambda: (SESSION + sender(0, 0), times(tiny_transfer(0))),
    "sends tiny messages of long tags":
        lambda: (SESSION + sender(0, 0), times(tiny_transfer(0, b"t" * 15 * KIB))),
    "sends tiny messages with large states":
        lambda: (SESSION + sender(0, 0), times(amqp.frame(
            0, amqp.TRANSFER, 0, None, b"t", 0, False, False, None,
            amqp.Described(amqp.RECEIVED, values(15 * KIB)), payload=b"\0Sw@"))),
    "receives tiny messages":
        lambda: (SESSION + sender(0, 0) + receiver(0, 1) + amqp.flow(0, 1, 1 << 30),
                 times(tiny_transfer(0))),
    "rejects messages with large maps":
        lambda: (SESSION + sender(0, 0) + receiver(0, 1) + amqp.flow(0, 1, 1 << 30),
                 tiny_transfer(0) * 1000 + rejections()),
    "rejects many messages with one large map":
        lambda: (SESSION + sender(0, 0) + receiver(0, 1) + amqp.flow(0, 1, 1 << 30),
                 tiny_transfer(0) * 1000 + amqp.frame(
                     0, amqp.DISPOSITION, amqp.RECEIVER, 0, 999, False,
                     amqp.Described(amqp.REJECTED, error(MAX_FRAME - 256)))),
    "opens with large maps":
        lambda: amqp.frame(0, amqp.OPEN, "c", None, None, None, None, None, None, None, None,
                           values(15 * KIB)) * 100,
}


def tiny_transfer(handle, tag=b"t"):
    return amqp.frame(0, amqp.TRANSFER, handle, None, tag, 0, False, payload=b"\0Sw@")


class Memory(unittest.TestCase):
    def held(self, server, port, kind, data, opens=True):
        """What was sent, and how much more memory it made."""
        setup, data = data if isinstance(data, tuple) else (b"", data)
        with Honest(server.amqp_port) as honest, kind(port) as peer:
            until(lambda: honest.messages, "honest message")
            if opens:
                peer.open_amqp()
            if setup:
                peer.send(setup)
                answers = amqp.ATTACH if ATTACH in setup else amqp.BEGIN
                for _ in range(setup.count(ATTACH) or setup.count(BEGIN)):
                    peer.read_frames(answers)
            before = memory(server.pid)
            with Watch(server.pid) as watch:
                sent = peer.send_as_far_as_it_goes(data, patience=0.3)
                served = honest.messages
                until(lambda: honest.messages > served + 5, "honest message beside it")
        return sent, watch.most - before

    def check(self, name, ports, attack, data, opens=True):
        figures = []
        for kind in (Peer, WebSocketPeer):
            with Server(name, ports=ports, may_log=".") as server:
                port = server.port if kind is WebSocketPeer else server.amqp_port
                sent, grown = self.held(server, port, kind, data, opens)
                begun = time.monotonic()
                server.stop()
                stopped = time.monotonic() - begun
                self.assertLessEqual(grown, 2 * STATED, (name, attack, kind))
                self.assertLess(stopped, 2, (name, attack, kind))
                figures.append(f"{'WebSocket' if kind is WebSocketPeer else 'TCP'}: "
                               f"{sent / MIB:.1f} MiB sent, {grown / MIB:.1f} MiB more memory, "
                               f"SIGTERM {stopped:.1f} s")
        security(f"an AMQP peer of {name} {attack} and reads nothing",
                 f"{STATED / MIB:.0f} MiB for a peer, in objects and bytes",
                 "is not read until it reads; is ended if it still has too much",
                 "; ".join(figures))

    def test_what_a_peer_of_the_broker_makes_is_bounded(self):
        for attack, make in ATTACKS.items():
            self.check(*BROKER, attack, make())

    def test_what_a_peer_of_the_echo_makes_is_bounded(self):
        # It keeps what the broker does not: messages that nobody takes.
        for attack in ("leaves large messages unfinished", "sends tiny messages of long tags",
                       "sends tiny messages with large states", "receives tiny messages"):
            self.check(*ECHO, attack, ATTACKS[attack]())

    def test_what_a_peer_makes_with_sasl_is_bounded(self):
        initial = amqp.frame(0, amqp.SASL_INIT, amqp.Symbol("ANONYMOUS"), b"r" * 15 * KIB, sasl=True)
        self.check(*BROKER, "sends SASL frames", times(amqp.SASL_HEADER + initial), opens=False)


class Budget(unittest.TestCase):
    """--memory-mib, for all peers together."""

    @staticmethod
    def enter(server):
        """None: it was refused."""
        peer = Peer(server.amqp_port)
        try:
            return peer.open_amqp()
        except (AssertionError, ConnectionError):
            peer.close()
            return None

    def check(self, program):
        most = MIB // macro("CONNECTION")
        peers = []
        with program.start("--memory-mib", 1) as server, Honest(server.amqp_port) as honest:
            until(lambda: honest.messages, "the honest client's first message")
            while peer := self.enter(server):
                peers.append(peer)
                self.assertLess(len(peers), most, program.name)
            self.assertGreater(len(peers), most // 2, program.name)
            if program.amqp_over_websocket:
                with WebSocketPeer(server.port) as websocket:
                    self.assertEqual(websocket.status, 503)
            # Those that are there go on, and one that leaves makes room.
            at = honest.messages
            until(lambda: honest.messages > at + 20, "the honest client to go on")
            peers.pop().close()
            until(lambda: peers.append(self.enter(server)) or peers[-1], "another to be let in")
            for peer in filter(None, peers):
                peer.close()
        return len(peers), honest.messages

    def test_beyond_it_new_connections_are_refused(self):
        for program in PROGRAMS:
            count, messages = self.check(program)
            security(f"more peers than there is memory for ({program.name})",
                     f"--memory-mib, {macro('CONNECTION') // KIB} KiB a peer, and what it makes",
                     "over WebSocket 503, over TCP the end",
                     f"{count} peers for 1 MiB; {messages} honest messages of one that was there")


if __name__ == "__main__":
    unittest.main()
