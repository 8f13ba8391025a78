# SPDX-License-Identifier: MIT
"""SIGTERM: peers hear that the service goes away, what is under way is delivered, and it ends."""

import os
import signal
import ssl
import struct
import tempfile
import threading
import time
import unittest
from pathlib import Path

from h2.events import DataReceived, StreamEnded

import amqp_frames
from edge import KIB, MIB, Peer, Server, WebSocketPeer, security
from programs import PROGRAMS
from python_h2_test import Session

TLS = Path(os.environ["LWS_PROTON_TLS_DIR"])
WITH_TLS = ("--tls-cert", TLS / "cert.pem", "--tls-key", TLS / "key.pem")
GOING_AWAY = struct.pack(">H", 1001)
# What the programs give their peers.
STOP_S = 5


def trust():
    return ssl.create_default_context(cafile=TLS / "cert.pem")


class Stopped:
    """A server that is signalled in the block; it has to end by itself, with status 0."""

    def __init__(self, server, signals=1):
        self.server = server
        self.signals = signals

    def __enter__(self):
        self.begun = time.monotonic()
        for _ in range(self.signals):
            os.kill(self.server.pid, signal.SIGTERM)
            time.sleep(0.2 if self.signals > 1 else 0)
        return self

    def __exit__(self, error, *_):
        if not error:
            self.server.wait()
            self.took = time.monotonic() - self.begun


class TlsWebSocketPeer(WebSocketPeer):
    def __init__(self, port, **options):
        super().__init__(port, upgrade=False, **options)
        self.socket = trust().wrap_socket(self.socket, server_hostname="localhost")
        self.status = self.upgrade(subprotocol="echo")


class StoppedSession(Session):
    """HTTP/2. Python's h2 takes a GOAWAY for the end: it does not see them."""

    def __init__(self, server):
        self.goaways = []  # the last stream and the error of each
        self.ended = set()  # streams
        self.bodies = {}
        self._partial = b""
        super().__init__(server, trust())

    def until(self, condition):
        while not condition():
            if not self.read():
                raise AssertionError("the server hung up")

    def read(self):
        received = self._socket.recv(1 << 16)
        self._partial += received
        while len(self._partial) >= 9:
            end = 9 + int.from_bytes(self._partial[:3], "big")
            if len(self._partial) < end:
                break
            frame, self._partial = self._partial[:end], self._partial[end:]
            if frame[3] == 7:
                self.goaways.append(struct.unpack(">II", frame[9:17]))
                continue
            for event in self.h2.receive_data(frame):
                self._take(event)
        if received:
            self.flush()
        return received

    def read_to_end(self):
        while self.read():
            pass

    def get(self, path):
        stream = self.h2.get_next_available_stream_id()
        self.bodies[stream] = b""
        self.h2.send_headers(stream, [(":method", "GET"), (":scheme", "https"), (":path", path),
                                      (":authority", self._authority)], end_stream=True)
        self.flush()
        return stream

    def _take(self, event):
        stream = getattr(event, "stream_id", None)
        if isinstance(event, StreamEnded):
            self.ended.add(stream)
        if stream not in self.bodies:
            super()._take(event)
        elif isinstance(event, DataReceived):
            self.bodies[stream] += event.data
            if event.flow_controlled_length:
                self.h2.acknowledge_received_data(event.flow_controlled_length, stream)


class Http(Peer):
    """One HTTP/1.1 connection."""

    def request(self, path, headers=""):
        self.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n".encode())

    def read_until(self, text):
        while text not in self.received:
            data = self._receive()
            assert data, f"the end, and no {text} in {self.received[-200:]}"
            self.received += data

    def read_to_end(self):
        while data := self._receive():
            self.received += data
        return self.received


class Stopping(unittest.TestCase):
    def expect_going_away(self, peer):
        """Answers the close as a client does."""
        while peer._receive():
            pass
        self.assertEqual(peer.close_code, 1001)
        peer.send_message(8, GOING_AWAY)
        peer.wait_for_end()

    def stop_with_websockets(self, *command):
        with Server(*command) as server:
            peers = [WebSocketPeer(server.port, subprotocol="echo") for _ in range(20)]
            self.assertEqual({peer.status for peer in peers}, {101})
            with Stopped(server) as stopped:
                for peer in peers:
                    self.expect_going_away(peer)
                    peer.close()
        return stopped.took

    def test_each_websocket_hears_1001(self):
        took = [self.stop_with_websockets("lws-proton-echo"),
                self.stop_with_websockets("lws-proton-echo", "--threads", 4),
                self.stop_with_websockets("lws-proton-echo", "--threads", 4, "--own-proactor"),
                self.stop_with_websockets("lws-proton-poll-loop")]
        security("SIGTERM with 20 WebSockets open", "their answers", "1001",
                 f"ended after {max(took):.1f} s at most")

    def test_echoes_under_way_arrive_over_tls(self):
        sent = [os.urandom(16 * KIB) for _ in range(30)]
        with Server("lws-proton-echo", *WITH_TLS) as server, TlsWebSocketPeer(server.port) as peer:
            def write():
                for payload in sent:
                    header = struct.pack(">BBHI", 0x82, 0x80 | 126, len(payload), 0)
                    peer._send_raw(header + payload)

            writing = threading.Thread(target=write)
            writing.start()
            received = peer._receive()
            with Stopped(server):
                while data := peer._receive():
                    received += data
                writing.join()
                self.assertEqual(peer.close_code, 1001)
                self.assertEqual(received, b"".join(sent))
                peer.send_message(8, GOING_AWAY)
        security("SIGTERM with 30 echoes under way over TLS", "-", "all of them, then 1001",
                 f"{len(received)} bytes came back")

    def test_a_request_under_way_is_answered(self):
        with tempfile.TemporaryDirectory() as directory:
            content = os.urandom(6 * MIB)
            (Path(directory) / "file").write_bytes(content)
            with Server("lws-proton-mirror", "--files", directory) as server, \
                    Http(server.port, receive_buffer=256 * KIB) as getting, \
                    Http(server.port) as asking, Http(server.port) as idle, \
                    Http(server.port) as silent:
                idle.request("/files/", "Range: bytes=0-0\r\n")
                idle.read_until(b"\r\n\r\n")
                getting.request("/files/file")
                getting.read_until(b"\r\n\r\n")
                asking.send(b"GET /test.html HTTP/1.1\r\nHost: ")
                with Stopped(server):
                    # Those with nothing under way end, while the others go on.
                    idle.read_to_end()
                    silent.wait_for_end()
                    with self.assertRaises(ConnectionRefusedError):
                        Http(server.port)
                    asking.send(b"localhost\r\n\r\n")
                    answer = asking.read_to_end()
                    self.assertTrue(answer.startswith(b"HTTP/1.1 200 "), answer[:100])
                    self.assertIn(b"\r\nconnection: close\r\n", answer)
                    body = getting.read_to_end().partition(b"\r\n\r\n")[2]
                    self.assertEqual(len(body), len(content))
                    self.assertEqual(body, content)

    def stop_beside_a_late_request(self, directory, content):
        """Whether the request that was on its way came before the connection had nothing to do."""
        with Server("lws-proton-mirror", "--files", directory, *WITH_TLS) as server, \
                StoppedSession(server) as session:
            stream = session.get("/files/file")
            session.until(lambda: session.bodies[stream])
            with Stopped(server):
                session.until(lambda: session.goaways)
                late = session.get("/test.html")
                session.read_to_end()
                last = session.goaways[-1][0]
                self.assertEqual(session.goaways, [(2**31 - 1, 0), (last, 0)])
                # One beyond the last stream was not looked at: a client may ask elsewhere.
                self.assertIn(last, (stream, late))
                self.assertEqual(session.ended, {stream, last})
                self.assertEqual(session.bodies[stream], content)
                if last == late:
                    self.assertIn(b"</html>", session.bodies[late])
                return last == late

    def test_http2_streams_end_after_goaway(self):
        with tempfile.TemporaryDirectory() as directory:
            content = os.urandom(MIB)
            (Path(directory) / "file").write_bytes(content)
            # On a busy machine it is late indeed.
            self.assertTrue(any(self.stop_beside_a_late_request(directory, content)
                                for _ in range(10)))

    def test_websockets_over_http2_hear_1001(self):
        with Server("lws-proton-echo", *WITH_TLS) as server, StoppedSession(server) as session:
            sockets = [session.websocket() for _ in range(3)]
            for websocket in sockets:
                websocket.send(b"under way")
            with Stopped(server):
                session.until(lambda: all(websocket.closed for websocket in sockets))
                for websocket in sockets:
                    self.assertEqual((websocket.closed, websocket.received), (1001, b"under way"))
                    session.send(websocket.answer_close())
                session.read_to_end()
            self.assertEqual(session.goaways[-1], (sockets[-1].stream, 0))

    def expect_forced(self, peer):
        frames = peer.read_frames(amqp_frames.CLOSE)
        self.assertIn(b"amqp:connection:forced", frames[-1][2])
        peer.send(amqp_frames.close())

    def test_amqp_closes_with_forced(self):
        for program in PROGRAMS:
            with program.start() as server, Peer(server.amqp_port) as tcp, \
                    Peer(server.amqp_port) as silent, \
                    WebSocketPeer(server.port, subprotocol=program.websocket) as websocket:
                tcp.open_amqp()
                if program.amqp_over_websocket:
                    websocket.open_amqp()
                with Stopped(server) as stopped:
                    self.expect_forced(tcp)
                    tcp.wait_for_end()
                    silent.wait_for_end()
                    if program.amqp_over_websocket:
                        self.expect_forced(websocket)
                    self.expect_going_away(websocket)
            security(f"SIGTERM with AMQP at {program.name}", "its close",
                     "close with amqp:connection:forced, WebSockets then 1001",
                     f"ended after {stopped.took:.1f} s")

    def test_the_gateway_tells_its_clients(self):
        with PROGRAMS[0].start() as broker, \
                Server("lws-proton-gateway", "--drain-seconds", 0, "--broker",
                       f"amqp://127.0.0.1:{broker.amqp_port}") as gateway, \
                WebSocketPeer(gateway.port) as peer:
            peer.open_amqp()
            with Stopped(gateway) as stopped:
                self.expect_going_away(peer)
                self.assertEqual(peer.close_reason, "the gateway stops")
            self.assertIn('end="the gateway stops"', gateway.log())
        security("SIGTERM with AMQP through the gateway", "--drain-seconds", "1001",
                 f"ended after {stopped.took:.1f} s")

    def deaf(self, port):
        """A WebSocket that asks for more than it reads."""
        peer = WebSocketPeer(port, subprotocol="echo", receive_buffer=4 * KIB)
        peer.send_as_far_as_it_goes(bytes(64 * MIB), patience=0.5)
        return peer

    def test_a_peer_that_does_not_read_is_cut(self):
        for program in ("lws-proton-echo", "lws-proton-poll-loop"):
            with Server(program, may_log="linger") as server, self.deaf(server.port), \
                    WebSocketPeer(server.port, subprotocol="echo") as honest, Stopped(server) as stopped:
                self.expect_going_away(honest)
            self.assertGreaterEqual(stopped.took, STOP_S)
            security(f"SIGTERM and a peer of {program} that does not read", f"{STOP_S} s",
                     "the end of the connection", f"ended after {stopped.took:.1f} s")

    def test_a_second_signal_ends_it_now(self):
        for program in ("lws-proton-echo", "lws-proton-poll-loop"):
            with Server(program, may_log="linger") as server, self.deaf(server.port), \
                    Stopped(server, signals=2) as stopped:
                pass
            self.assertLess(stopped.took, STOP_S)
            security(f"a second SIGTERM and a peer of {program} that does not read", "-",
                     "the end of the connection", f"ended after {stopped.took:.1f} s")


if __name__ == "__main__":
    unittest.main()
