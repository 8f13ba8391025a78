# SPDX-License-Identifier: MIT
"""While a peer has much done for it, others are served in between: what the program takes of a processor from
an honest client's request to its answer is bounded, however busy the machine is."""

import threading
import unittest

import amqp_frames as amqp
from edge import (KIB, PATIENCE_S, SANITIZED, Peer, Server, WebSocketPeer, processor_seconds_of_threads,
                  security, until)

# What others may have to wait for, in seconds of the program's processor time; sanitizers are slow.
MOST = 1.0 if SANITIZED else 0.1
LINKS, MESSAGES = 1000, 4000
BROKER = ("broker", ("--amqp-port", "0", "--http-port", "0"))


class Asking(threading.Thread):
    """An honest client that attaches and detaches, over and over, for as long as it is entered; and what the
    program took of a processor meanwhile, at most."""

    def __init__(self, server, peer):
        super().__init__(daemon=True)
        self.server, self.peer = server, peer
        self.most, self.answers, self.error = 0, 0, None
        self.stopped = threading.Event()
        peer.open_amqp()
        peer.send(amqp.begin(0))
        peer.read_frames(amqp.BEGIN)

    def __enter__(self):
        self.start()
        self.more(2)
        self.most = 0
        return self

    def __exit__(self, error, *_):
        if not error:
            self.more(2)
        self.stopped.set()
        self.join(PATIENCE_S)
        self.peer.close()

    def more(self, count):
        wanted = self.answers + count
        until(lambda: self.answers >= wanted or self.error, "the honest client's answers")
        if self.error:
            raise self.error

    def run(self):
        request = amqp.attach(0, 0, amqp.SENDER, "honest") + amqp.detach(0, 0)
        try:
            while not self.stopped.is_set():
                before = processor_seconds_of_threads(self.server.pid)
                self.peer.send(request)
                self.peer.read_frames(amqp.DETACH)
                self.most = max(self.most, processor_seconds_of_threads(self.server.pid) - before)
                self.answers += 1
        except Exception as error:  # pylint: disable=broad-except
            self.error = error


class Attacker:
    """A peer of the broker with a session."""

    def __init__(self, server):
        self.peer = Peer(server.amqp_port).open_amqp()
        self.send(amqp.begin(0))
        self.heard(amqp.BEGIN)

    def send(self, data):
        self.peer.send(data)

    def heard(self, code, count=1):
        """So many frames of this kind; others are passed over."""
        while count > 0:
            frames, self.peer.received = amqp.split_frames(self.peer.received)
            count -= sum(one == code for _, one, _ in frames)
            if count > 0:
                data = self.peer._receive()
                assert data, "the broker ended the connection"
                self.peer.received += data

    def attach(self, count):
        self.send(b"".join(amqp.attach(0, n, amqp.SENDER, f"q{n % 5}") for n in range(count)))
        self.heard(amqp.ATTACH, count)

    def take(self):
        """Messages, which stay unsettled."""
        self.send(amqp.attach(0, 0, amqp.SENDER, "q") + amqp.attach(0, 1, amqp.RECEIVER, "q"))
        self.heard(amqp.ATTACH, 2)
        self.send(amqp.flow(0, 1, 1 << 20, incoming_window=1 << 20))
        message = amqp.frame(0, amqp.TRANSFER, 0, None, b"t", 0, True,
                             payload=amqp.DATA_SECTION + amqp.encode(b"x"))
        for _ in range(MESSAGES // 50):
            self.send(message * 50)
            self.heard(amqp.TRANSFER, 50)

    def churn(self):
        for _ in range(20):
            self.send((amqp.attach(0, LINKS, amqp.SENDER, "c") + amqp.detach(0, LINKS)) * 200)
            self.heard(amqp.DETACH, 200)

    def everything(self, settled, state=None):
        self.send(amqp.frame(0, amqp.DISPOSITION, amqp.RECEIVER, 0, 0x7fffffff, settled, state))


def repeat(attacker):
    for _ in range(400):
        attacker.everything(settled=False)


# What is done before, and what is measured beside the honest client.
ATTACKS = {
    f"repeats a disposition about {MESSAGES} deliveries": (Attacker.take, repeat),
    f"releases {MESSAGES} messages at once":
        (Attacker.take, lambda a: a.everything(True, amqp.Described(amqp.RELEASED))),
    "attaches and detaches, beside many links": (lambda a: a.attach(LINKS // 2), Attacker.churn),
    f"ends a session with {LINKS} links": (lambda a: a.attach(LINKS), lambda a: a.send(amqp.end(0))),
}


class Turns(unittest.TestCase):
    def report(self, attack, most, took):
        self.assertLess(most, MOST, attack)
        security(f"beside a peer that {attack}", "its work is cut into turns", "served, in turn",
                 f"another waits for at most {1000 * most:.0f} ms of the {1000 * took:.0f} ms that it takes")

    def test_of_the_broker(self):
        for attack, (prepare, act) in ATTACKS.items():
            with self.subTest(attack), Server(*BROKER[:1], ports=BROKER[1], may_log=".") as server:
                attacker = Attacker(server)
                prepare(attacker)
                with Asking(server, Peer(server.amqp_port)) as honest:
                    before = processor_seconds_of_threads(server.pid)
                    act(attacker)
                    # It is all done when what comes last is answered.
                    attacker.send(amqp.begin(9))
                    attacker.heard(amqp.BEGIN)
                    took = processor_seconds_of_threads(server.pid) - before
                attacker.peer.close()
                self.report(attack, honest.most, took)

    def test_of_the_gateway(self):
        with Server(BROKER[0], ports=BROKER[1], may_log=".") as broker, \
                Server("lws-proton-gateway", "--broker", f"amqp://127.0.0.1:{broker.amqp_port}",
                       ports=("--listen", "0"), may_log=".") as server:
            floods = [WebSocketPeer(server.port).open_amqp() for _ in range(10)]
            # Heartbeats, each in a message of its own.
            heartbeat = bytes([0, 0, 0, 8, 2, 0, 0, 0])
            data = WebSocketPeer._message(heartbeat) * (256 * KIB)
            with Asking(server, WebSocketPeer(server.port)) as honest:
                before = processor_seconds_of_threads(server.pid)
                sent = Peer.flood(floods, data)
                took = processor_seconds_of_threads(server.pid) - before
            for peer in floods:
                peer.close()
            self.assertGreater(sent, 10 * 256 * KIB)
            self.report("floods the gateway's tunnel with tiny messages, ten times", honest.most, took)


if __name__ == "__main__":
    unittest.main()
