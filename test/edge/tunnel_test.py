# SPDX-License-Identifier: MIT
"""What a client or a broker can make the gateway hold: time, descriptors, memory, and how many it lets in."""

import os
import random
import re
import socket
import ssl
import threading
import time
import unittest
from pathlib import Path
from urllib.request import urlopen

from edge import (KIB, SANITIZED, AtOnce, Server, WebSocketPeer, descriptors, memory, security,
                  until)

CERTIFICATE = Path(os.environ["LWS_PROTON_TLS_DIR"])
TLS = ("--tls-cert", CERTIFICATE / "cert.pem", "--tls-key", CERTIFICATE / "key.pem")
TRUST = ssl.create_default_context(cafile=CERTIFICATE / "cert.pem")
# Tunnel::kMost, and Tunnel::kOpening.
MOST = 512 * KIB
OPENING = b"AMQP\0\1\0\0" + bytes(16)

# What has the broker flood, or be silent; and what a client then sends.
FLOODS, SAYS_NOTHING = b"F" + OPENING[1:], b"S" + OPENING[1:]
MESSAGES = WebSocketPeer._message(bytes(16 * KIB)) * KIB

ECHO, SILENT, FLOOD = "echo", "silent", "flood"


class Broker:
    """Not one of AMQP. The first bytes of a connection are answered; then, as the mode is: ECHO returns
    what comes, SILENT reads nothing and says nothing, FLOOD sends for as long as there is room. With
    another mode for a `first` byte of the connection, that."""

    def __init__(self, mode=ECHO, answers=True, others=None):
        self.mode, self.answers, self.others = mode, answers, others or {}
        self.connections = []
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1000)
        self.url = f"amqp://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
        self.end()

    def end(self):
        """Of its connections."""
        for connection in self.connections:
            try:
                # Also of one whose thread is sending.
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            connection.close()
        self.connections.clear()

    def _accept(self):
        while True:
            try:
                connection = self.listener.accept()[0]
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            if not self.answers:
                return
            first = connection.recv(64 * KIB)
            connection.sendall(OPENING)
            mode = self.others.get(first[:1], self.mode)
            if mode == ECHO:
                connection.sendall(first[len(OPENING):])
            while mode == ECHO and (data := connection.recv(64 * KIB)):
                connection.sendall(data)
            while mode == FLOOD:
                connection.sendall(bytes(64 * KIB))
        except OSError:
            pass


class Honest:
    """A client whose bytes all come back, which it looks for while others do harm."""

    def __init__(self, gateway, tls=False):
        self.peer = Client(gateway, tls=tls)
        self.random = random.Random(1)
        self.bytes = 0
        self.peer.send(OPENING)
        self.expect(OPENING)

    def expect(self, data):
        got = b""
        while len(got) < len(data):
            more = self.peer._receive()
            assert more, f"closed with {self.peer.close_code} {self.peer.close_reason}"
            got += more
        assert got == data, "other bytes came back"

    def check(self, count=20):
        for _ in range(count):
            data = self.random.randbytes(self.random.randrange(1, 16 * KIB))
            self.peer.send(data)
            self.expect(data)
            self.bytes += len(data)

    def close(self):
        self.check()
        self.peer.close()
        return f"{self.bytes} bytes of an honest client came back"


class Client(WebSocketPeer):
    def __init__(self, gateway, tls=False, **options):
        super().__init__(gateway.port, upgrade=False, **options)
        if tls:
            self.socket = TRUST.wrap_socket(self.socket, server_hostname="localhost")
        self.status = self.upgrade()

    def closed(self):
        """The code and the reason that the gateway closes with."""
        while self._receive():
            pass
        return self.close_code, self.close_reason


def gateway(broker, *arguments, **options):
    url = broker if isinstance(broker, str) else broker.url
    return Server("lws-proton-gateway", "--broker", url, *arguments,
                  ports=("--listen", "0", "--status-port", "0"), **options)


def metric(server, name):
    with urlopen(f"http://localhost:{server.status_port}/metrics") as answer:
        text = answer.read().decode()
    return int(re.search(rf"^lws_proton_gateway_{re.escape(name)} (\d+)$", text, re.M)[1])


def no_tunnels(server, honest=None):
    """None but the honest client's."""
    def holds():
        if honest:
            honest.check(1)
        return metric(server, "connections") == (1 if honest else 0)
    until(holds, "end of the tunnels", 30)


def setUpModule():
    Timeouts.begin()


class Timeouts(AtOnce):
    def test_a_client_that_says_nothing_is_ended(self):
        with Broker() as broker, gateway(broker, "--open-seconds", "1") as server:
            honest = Honest(server)
            silent = [Client(server) for _ in range(20)]
            begun = time.monotonic()
            for client in silent:
                self.assertEqual(client.closed(),
                                 (1008, "the client did not begin AMQP in time"))
            took = time.monotonic() - begun
            for client in silent:
                client.close()
            no_tunnels(server, honest)
            self.assertEqual(metric(server, "silent_total"), 20)
            checked = honest.close()
        security("a client of the gateway that says nothing after the upgrade", "--open-seconds",
                 "1008 and words", f"20 clients ended after {took:.1f} s of 1 s; {checked}")

    def test_a_byte_at_a_time_is_not_enough(self):
        with Broker() as broker, gateway(broker, "--open-seconds", "2") as server:
            honest = Honest(server)
            client = Client(server)
            sent = 0
            begun = time.monotonic()
            try:
                while time.monotonic() < begun + 20:
                    client.send(OPENING[sent % 8:][:1])
                    sent += 1
                    time.sleep(0.2)
            except OSError:
                pass
            took = time.monotonic() - begun
            self.assertLess(took, 15)
            until(lambda: metric(server, "silent_total") == 1, "end of the trickle")
            client.close()
            checked = honest.close()
        security("a client of the gateway that sends a byte now and then",
                 "24 bytes within --open-seconds", "1008 and words",
                 f"ended after {sent} bytes in {took:.1f} s of 2 s; {checked}")

    def test_a_broker_that_does_not_answer_is_told_to_the_client(self):
        with Broker(answers=False) as broker, gateway(broker, "--open-seconds", "1") as server:
            client = Client(server)
            client.send(OPENING)
            self.assertEqual(client.closed(), (1013, "the broker did not answer in time"))
            self.assertEqual(metric(server, "unserved_total"), 1)
            client.close()
            no_tunnels(server)
        security("a broker behind the gateway that accepts and does not answer",
                 "24 bytes within --open-seconds", "the client gets 1013 and words", "1 broker")

    def test_a_client_that_is_gone_without_a_word_is_noticed(self):
        with Broker() as broker, gateway(broker, "--open-seconds", "1",
                                         "--idle-seconds", "2") as server:
            gone, alive = Client(server), Client(server)
            for client in (gone, alive):
                client.send(OPENING)
                client._receive()
            stop = threading.Event()

            def answer_pings():
                alive.socket.settimeout(0.2)
                while not stop.is_set():
                    try:
                        data = alive.socket.recv(KIB)
                    except TimeoutError:
                        continue
                    if data[:1] == b"\x89":
                        alive.send_message(10, data[2:])
                    elif data[:1] == b"\x88" or not data:
                        return

            answering = threading.Thread(target=answer_pings)
            answering.start()
            begun = time.monotonic()
            # It does not answer pings, as a host that is gone does not.
            self.assertEqual(gone.closed(), (1008, "the client is silent"))
            took = time.monotonic() - begun
            gone.close()
            time.sleep(2)
            self.assertEqual(metric(server, "connections"), 1)
            stop.set()
            answering.join()
            alive.close()
            no_tunnels(server)
        security("a client of the gateway that is gone without a word",
                 "--idle-seconds, with a ping after half of them", "1008 and words",
                 f"ended after {took:.1f} s of 2 s; one that answers pings stays")

    def test_a_client_that_resets_while_it_is_not_read_is_noticed(self):
        with Broker(others={b"S": SILENT}) as broker, gateway(broker, "--open-seconds", "1",
                                                              "--idle-seconds", "2") as server:
            clients = [Client(server) for _ in range(5)]
            for client in clients:
                client.send(SAYS_NOTHING)
            self.assertGreater(Client.flood(clients, MESSAGES), MOST)
            for client in clients:
                client.reset()
            no_tunnels(server)
            broker.end()

    def test_a_silent_websocket_over_http2_is_ended(self):
        from who_may_connect_test import Http2
        with Broker() as broker, gateway(broker, "--open-seconds", "1", *TLS) as server:
            with Http2(server.port) as session:
                here = f"localhost:{server.port}"
                self.assertEqual(session.upgrade(here, "amqp", f"https://{here}"), 200)
                no_tunnels(server)
                self.assertEqual(metric(server, "silent_total"), 1)


class Ends(unittest.TestCase):
    def test_half_a_frame_and_the_end_frees_all_at_once(self):
        halves = {"half a header": b"\x82", "a header": b"\x82\xfe\x10\x00",
                  "half a payload": b"\x82\xfe\x10\x00" + bytes(4) + b"half",
                  "a message": b"\x82\x84" + bytes(4) + b"AMQP", "nothing": b""}
        ways = {"FIN": WebSocketPeer.end_output, "reset": WebSocketPeer.reset}
        with Broker() as broker, gateway(broker) as server:
            honest = Honest(server)
            before = descriptors(server.pid)
            begun = time.monotonic()
            count = 0
            for half in halves.values():
                for end in ways.values():
                    clients = [Client(server) for _ in range(20)]
                    for client in clients:
                        client._send_raw(half)
                        end(client)
                    count += len(clients)
                    # Not when a time is over: the clients still read.
                    until(lambda: descriptors(server.pid) <= before, "descriptors of before", 8)
                    for client in clients:
                        client.close()
            took = time.monotonic() - begun
            no_tunnels(server, honest)
            checked = honest.close()
        security("a client of the gateway ends its stream, or resets, inside a frame",
                 "the end of the input ends the tunnel", "the end of the stream",
                 f"{count} clients, all descriptors back, {took:.1f} s in all; {checked}")

    def test_a_broker_that_ends_inside_a_frame_ends_the_tunnel(self):
        with Broker() as broker, gateway(broker) as server:
            before = descriptors(server.pid)
            for how in (socket.SHUT_WR, socket.SHUT_RDWR):
                clients = [Client(server) for _ in range(20)]
                until(lambda: len(broker.connections) == 20, "connections to the broker")
                for client in clients:
                    client.send(OPENING + b"ha")
                for client in clients:
                    got = b""
                    while len(got) < len(OPENING) + 2:
                        got += client._receive()
                for connection in broker.connections:
                    connection.shutdown(how)
                for client in clients:
                    self.assertEqual(client.closed(), (1001, "the broker closed the connection"))
                    client.close()
                until(lambda: descriptors(server.pid) <= before, "descriptors of before", 8)
                broker.connections.clear()
        security("a broker behind the gateway ends its stream inside a frame",
                 "the end of the input ends the tunnel", "the client gets 1001 and words",
                 "40 tunnels, all descriptors back")


class Memory(unittest.TestCase):
    COUNT = 30

    def measure(self, attack, first, flood=b"", tls=False):
        """Of many tunnels at once whose clients send `first`, whose first byte tells the broker what to
        be, and then as much of `flood` as goes."""
        def harm(count):
            clients = [Client(server, tls) for _ in range(count)]
            for client in clients:
                client.send(first)
            return clients, Client.flood(clients, flood) if flood else 0

        with Broker(others={b"S": SILENT, b"F": FLOOD}) as broker:
            with gateway(broker, "--drain-seconds", "0", *(TLS if tls else ())) as server:
                honest = Honest(server, tls)
                # What the heap takes for the first ones is not for each.
                warm, _ = harm(4)
                honest.check()
                before = memory(server.pid)
                clients, sent = harm(self.COUNT)
                time.sleep(0.5)
                each = (memory(server.pid) - before) // self.COUNT
                honest.check()
                for client in [*warm, *clients]:
                    client.reset()
                checked = honest.close()
                # A gateway that stops gives it time to take what there is for it.
                broker.end()
        if not SANITIZED:
            self.assertLess(each, MOST, attack)
        security(attack, f"{MOST // KIB} KiB a tunnel", "its bytes wait",
                 f"{each // KIB} KiB a tunnel, of {self.COUNT} tunnels whose clients sent "
                 f"{sent // self.COUNT // KIB} KiB each; {checked}")
        return each

    def test_a_broker_that_floods_a_client_that_does_not_read(self):
        self.measure("a broker floods, and the client of the gateway does not read", FLOODS)
        self.measure("a broker floods, and the client of the gateway does not read, over TLS", FLOODS,
                     tls=True)

    def test_a_client_that_floods_a_broker_that_does_not_read(self):
        each = self.measure("a client of the gateway floods, and the broker does not read", SAYS_NOTHING,
                            MESSAGES)
        if not SANITIZED:
            self.assertGreater(each, 64 * KIB, "the attack does nothing")

    def test_both_flood_and_neither_reads(self):
        self.measure("client and broker of the gateway flood, and neither reads", FLOODS, MESSAGES)
        self.measure("client and broker of the gateway flood, and neither reads, over TLS", FLOODS,
                     MESSAGES, tls=True)

    def test_many_tiny_messages_to_a_broker_that_does_not_read(self):
        self.measure("a client of the gateway sends many messages of a byte", SAYS_NOTHING,
                     (b"\x82\x81" + bytes(4) + b"x") * 300000)

    def test_pings_whose_pongs_are_not_read(self):
        self.measure("a client of the gateway sends pings, and reads no pong", OPENING,
                     (b"\x89\xfd" + bytes(4) + bytes(125)) * 30000)

    def test_beyond_the_budget_new_ones_are_refused(self):
        with Broker() as broker, gateway(broker, "--memory-mib", "4") as server:
            clients = [Client(server) for _ in range(20)]
            statuses = [client.status for client in clients]
            self.assertEqual(statuses, [101] * 8 + [503] * 12)
            self.assertEqual(metric(server, 'refused_total{reason="memory"}'), 12)
            # Those that are there go on, and one that leaves makes room.
            clients[0].close()
            until(lambda: metric(server, "connections") == 7, "end of the first")
            with Client(server) as again:
                self.assertEqual(again.status, 101)
            for client in clients:
                client.close()
            no_tunnels(server)
        security("more tunnels than the memory is for", "--memory-mib, 512 KiB a tunnel", "503",
                 "8 of 20 for 4 MiB")


class Addresses(unittest.TestCase):
    def test_an_address_has_so_many_connections(self):
        with Broker() as broker, gateway(broker, "--max-per-address", "5") as server:
            greedy = []
            refused = 0
            for _ in range(20):
                try:
                    client = Client(server, source="127.0.0.2")
                    refused += client.status == 0
                except ConnectionError:
                    client = None
                    refused += 1
                greedy.append(client)
            self.assertEqual(refused, 15)
            self.assertEqual(metric(server, 'refused_total{reason="address"}'), 15)
            # The others have their own, and what the gateway connects to is not counted.
            honest = [Honest(server) for _ in range(5)]
            for one in honest:
                one.check(2)
            for client in greedy:
                if client:
                    client.close()
            until(lambda: metric(server, "connections") == 5, "end of the greedy")
            # It gets as many again, also of those that did not become a WebSocket.
            for _ in range(3):
                idle = []
                for _ in range(5):
                    idle.append(socket.create_connection(("127.0.0.1", server.port),
                                                         source_address=("127.0.0.2", 0)))
                    idle[-1].sendall(b"GET / HTTP")
                for one in idle:
                    one.close()
                until(lambda: self.may_connect(server, source="127.0.0.2"),
                      "connection after those that were closed", 8)
            for one in honest:
                one.close()
        security("too many connections from one address", "--max-per-address",
                 "the end of the connection (HTTP/2: 429)", "5 of 20, and 5 of another address")

    def test_an_address_of_ipv6_has_as_many(self):
        # Proton's listener on :: has none of IPv4's.
        for bind in ("::1", "::"):
            with Broker() as broker, gateway(broker, "--max-per-address", "5", "--bind", bind,
                                             "--host", "*") as server:
                clients = [Client(server, host="::1") for _ in range(5)]
                self.assertEqual([client.status for client in clients], [101] * 5, bind)
                self.assertFalse(self.may_connect(server, host="::1"), bind)
                clients.pop().close()
                until(lambda: self.may_connect(server, host="::1"),
                      "connection after another's end", 8)
                for client in clients:
                    client.close()

    @staticmethod
    def may_connect(server, **where):
        try:
            with Client(server, **where) as client:
                return client.status == 101
        except ConnectionError:
            return False

    def test_streams_of_http2_count_as_connections(self):
        from who_may_connect_test import Http2
        with Broker() as broker, gateway(broker, "--max-per-address", "5", *TLS) as server:
            for _ in range(2):
                with Http2(server.port) as session:
                    here = f"localhost:{server.port}"
                    statuses = [session.upgrade(here, "amqp", f"https://{here}")
                                for _ in range(8)]
                    self.assertEqual(statuses, [200] * 4 + [429] * 4)
                no_tunnels(server)


if __name__ == "__main__":
    unittest.main()
