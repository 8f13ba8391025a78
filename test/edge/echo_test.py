# SPDX-License-Identifier: MIT
"""AMQP that comes back: what many links cost, and what a peer leaves unread in many sessions."""

import select
import unittest

import amqp_frames as amqp
from edge import KIB, MIB, PATIENCE_S, Peer, Server, memory, processor_seconds_of_threads, security
from memory_test import STATED, Watch

PORTS = ("--port", "0")
# LONGEST_MESSAGE of amqp_echo.c, and what FULL_SESSIONS may have unread, two messages each.
MESSAGE = 8 * MIB
UNREAD = 4 * 2 * MESSAGE
PIECE = bytes(60 * KIB)


def pair(channel, sender, receiver, node):
    return (amqp.attach(channel, sender, amqp.SENDER, node) +
            amqp.attach(channel, receiver, amqp.RECEIVER, node))


class Links(unittest.TestCase):
    LINKS = (250, 500, 1000)
    FLOWS = 200
    ROUNDS = 12

    def time_of(self, count, node):
        """Of events of so many links, whose nodes are node(n)."""
        with Server("lws-proton-amqp-echo", ports=PORTS) as server, Peer(server.amqp_port) as peer:
            peer.open_amqp()
            peer.send(amqp.begin(0) + pair(0, 0, 1, node(0)) +
                      b"".join(amqp.attach(0, n, amqp.SENDER if n % 2 else amqp.RECEIVER, node(n))
                               for n in range(2, count)))
            for _ in range(count):
                peer.read_frames(amqp.ATTACH)
            flows = b"".join(amqp.flow(0, n, credit) for credit in (1, 2)
                             for n in [1, *range(2, count, 2)]) * (self.FLOWS // 2)
            begun = processor_seconds_of_threads(server.pid)
            peer.send(flows + amqp.transfer(0, 0, 0))
            peer.read_frames(amqp.TRANSFER)
            return processor_seconds_of_threads(server.pid) - begun

    def check(self, what, node):
        """Other work on the machine makes a time longer, and none shorter: the best of some."""
        best = [float("inf")] * len(self.LINKS)
        for _ in range(self.ROUNDS):
            best = [min(least, self.time_of(count, node)) for least, count in zip(best, self.LINKS)]
            if all(more < 2.4 * less for less, more in zip(best, best[1:])):
                break
        figures = ", ".join(f"{count}: {1000 * s:.0f} ms" for count, s in zip(self.LINKS, best))
        for less, more in zip(best, best[1:]):
            self.assertLess(more, 2.4 * less, f"{what}: {figures}")
        security(what, "O(log n) each", "others are served beside it", figures)

    def test_many_links_of_many_nodes(self):
        self.check("has many links at nodes of the echo, and gives credit to each", lambda n: f"n{n}")

    def test_many_links_of_one_node(self):
        self.check("has many links at one node of the echo, and gives credit to each", lambda n: "n")


class Unread(unittest.TestCase):
    MESSAGES = 2

    def begin(self, server, sessions):
        """Each sends to a node of its own and receives from it, but has no window for that."""
        peer = Peer(server.amqp_port).open_amqp()
        for c in range(sessions):
            peer.send(amqp.begin(c, incoming_window=0) + pair(c, 0, 1, f"n{c}") +
                      amqp.flow(c, 1, 100, incoming_window=0))
            peer.read_frames(amqp.FLOW)
        return peer

    def messages(self, channel):
        pieces = (MESSAGE - MIB) // len(PIECE)
        return b"".join(amqp.transfer(channel, 0, n, PIECE, more=i + 1 < pieces)
                        for n in range(self.MESSAGES) for i in range(pieces))

    def send_and_read(self, peer, sessions, patience=1):
        """True: all of it. It reads, too: whoever reads nothing is not read for long."""
        for c in range(sessions):
            data = memoryview(self.messages(c))
            while data:
                readable, writable, _ = select.select([peer.socket], [peer.socket], [], patience)
                if not readable and not writable:
                    return False
                try:
                    if readable and not peer.socket.recv(64 * KIB):
                        return False
                    if writable:
                        data = data[peer.socket.send(data[:256 * KIB]):]
                except OSError:
                    return False
        return True

    def test_many_sessions_have_no_more_unread_than_a_connection_may(self):
        sessions = 40
        with Server("lws-proton-amqp-echo", ports=PORTS, may_log=".") as server:
            with self.begin(server, sessions) as peer:
                before = memory(server.pid)
                with Watch(server.pid) as watch:
                    self.send_and_read(peer, sessions)
                grown = watch.most - before
        self.assertLessEqual(grown, 1.5 * (STATED + UNREAD + MESSAGE))
        security("an AMQP peer of lws-proton-amqp-echo has no window in 40 sessions",
                 f"{UNREAD // MIB} MiB unread, and {STATED // MIB} MiB besides",
                 "is not read; is ended if it has too much",
                 f"{grown / MIB:.0f} MiB more memory, of {sessions * self.MESSAGES * 7} MiB")

    def test_what_has_waited_for_another_session_comes(self):
        sessions = 7
        with Server("lws-proton-amqp-echo", ports=PORTS) as server:
            with self.begin(server, sessions) as peer:
                self.assertTrue(self.send_and_read(peer, sessions, PATIENCE_S))
                # The one that came last was not passed on: the others have filled the connection.
                peer.received = b""
                for c in range(sessions):
                    peer.send(amqp.flow(c, incoming_window=1 << 20))
                got = 0
                peer.socket.settimeout(30)
                while got < sessions * self.MESSAGES * (MESSAGE - MIB - len(PIECE)):
                    data = peer.socket.recv(1 << 20)
                    self.assertTrue(data)
                    got += len(data)


if __name__ == "__main__":
    unittest.main()
