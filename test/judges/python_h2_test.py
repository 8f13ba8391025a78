"""Python's h2 and wsproto: WebSockets over HTTP/2 (RFC 8441) whose peer sends and does not read."""

import os
import socket
import ssl
import unittest

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, DataReceived, PingAckReceived, ResponseReceived
from h2.events import StreamReset
from h2.settings import SettingCodes
from hyperframe.frame import SettingsFrame
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection

from judge import PATIENCE_S, Server, Site

# A stream's credit, the echo's queue and what is underway: well below this.
MOST_HELD = 1_500_000
TOTAL = 6_000_000


class Terminated(AssertionError):
    def __init__(self, event):
        super().__init__(event)
        self.error_code = event.error_code


class WebSocket:
    """One stream of a Session."""

    def __init__(self, session, stream):
        self.session = session
        self.stream = stream
        self.open = False
        self.closed = None
        self.unread = []  # sizes of what came and gives the server no credit yet
        self.received = bytearray()
        self._ws = Connection(ConnectionType.CLIENT)

    def take(self, event):
        self.unread.append(event.flow_controlled_length)
        self._ws.receive_data(event.data)
        for message in self._ws.events():
            if isinstance(message, BytesMessage):
                self.received += message.data
            elif isinstance(message, CloseConnection):
                self.closed = message.code

    def send(self, payload):
        """As one message, which has to fit into the credit."""
        self.session.send(self.frame(BytesMessage(payload)))

    def credit(self):
        return self.session.h2.local_flow_control_window(self.stream)

    def read(self):
        for size in self.unread:
            self.session.h2.acknowledge_received_data(size, self.stream)
        self.unread.clear()
        self.session.flush()

    def frame(self, event):
        self.session.h2.send_data(self.stream, self._ws.send(event))
        return self.session.h2.data_to_send()

    def answer_close(self):
        return self.frame(CloseConnection(self.closed))

    def close(self):
        self.session.send(self.frame(CloseConnection(1000)))
        self.session.until(lambda: self.closed is not None)


class Session:
    def __init__(self, server, trust):
        raw = socket.create_connection(("127.0.0.1", server.port), PATIENCE_S)
        trust.set_alpn_protocols(["h2"])
        self._socket = trust.wrap_socket(raw, server_hostname="localhost")
        self.h2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        self.h2.initiate_connection()
        # The connection's credit is for all streams; what is to run out is that of one.
        self.h2.increment_flow_control_window(2 * TOTAL)
        self.flush()
        self._authority = server.authority
        self._streams = {}
        self._pings = 0
        self.until(lambda: self.h2.remote_settings.get(SettingCodes.ENABLE_CONNECT_PROTOCOL))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    def flush(self):
        self.send(self.h2.data_to_send())

    def send(self, octets):
        self._socket.sendall(octets)

    def until(self, condition):
        while not condition():
            received = self._socket.recv(1 << 16)
            if not received:
                raise AssertionError("the server hung up")
            for event in self.h2.receive_data(received):
                self._take(event)
            self.flush()

    def _take(self, event):
        if isinstance(event, ConnectionTerminated):
            raise Terminated(event)
        if isinstance(event, StreamReset) and self._streams[event.stream_id].closed is None:
            raise AssertionError(event)
        if isinstance(event, PingAckReceived):
            self._pings -= 1
        elif isinstance(event, ResponseReceived):
            self._streams[event.stream_id].open = dict(event.headers)[":status"] == "200"
        elif isinstance(event, DataReceived):
            self._streams[event.stream_id].take(event)

    def websocket(self):
        stream = self.h2.get_next_available_stream_id()
        new = self._streams[stream] = WebSocket(self, stream)
        self.h2.send_headers(stream, [
            (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"),
            (":path", "/"), (":authority", self._authority), ("sec-websocket-version", "13")])
        self.flush()
        self.until(lambda: new.open)
        return new

    def flood(self, frame, most):
        """Sends frames, not reading, until the server takes none for a while; how many."""
        sent, rest = 0, b""
        self._socket.settimeout(2)
        try:
            while sent < most:
                rest = rest or frame * 1000
                rest = rest[self._socket.send(rest):]
                sent += 0 if rest else 1000
        except TimeoutError:
            pass
        self._socket.settimeout(PATIENCE_S)
        return sent, rest

    def settle(self):
        """Until the server has dealt with all that was sent."""
        for _ in range(3):
            self._pings += 1
            self.h2.ping(bytes(8))
            self.flush()
            self.until(lambda: not self._pings)


class H2(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.site = Site()
        cls.addClassCleanup(cls.site.close)
        cls.server = cls.enterClassContext(Server(
            "lws-proton-echo", "--tls-cert", cls.site.localhost / "cert.pem",
            "--tls-key", cls.site.localhost / "key.pem"))

    def session(self):
        return Session(self.server, ssl.create_default_context(cafile=self.site.authority.cert))

    def fill(self, socket, payload):
        """Sends of the payload what the server takes without being read from; returns how much."""
        sent = 0
        while sent < len(payload):
            room = socket.credit() - 100  # for the frame's header
            if room <= 0:
                socket.session.settle()
                room = socket.credit() - 100
                if room <= 0:
                    break
            part = payload[sent:sent + min(room, 10_000)]
            socket.send(part)
            sent += len(part)
        return sent

    def test_who_does_not_read_has_to_stop_sending(self):
        payload = os.urandom(TOTAL)
        with self.session() as session:
            socket = session.websocket()
            sent = self.fill(socket, payload)
            self.assertLess(sent, MOST_HELD)

            other = session.websocket()
            other.send(b"not held up")
            session.until(lambda: other.received)
            self.assertEqual(other.received, b"not held up")
            other.close()

            # Once it reads again, it may go on, and nothing was lost.
            while sent < TOTAL:
                socket.read()
                session.until(lambda: socket.credit() > 100 or socket.unread)
                sent += self.fill(socket, payload[sent:])
            while len(socket.received) < TOTAL:
                socket.read()
                session.until(lambda: socket.unread or len(socket.received) == TOTAL)
            self.assertEqual(socket.received, payload)
            socket.read()
            socket.close()
            self.assertEqual(socket.closed, 1000)

    def test_who_does_not_read_is_owed_no_end_of_answers(self):
        ping = b"\0\0\x08\x06\0\0\0\0\0" + bytes(8)
        with self.session() as session:
            # Both kernels' buffers take some.
            sent, _ = session.flood(ping, most=4_000_000)
            self.assertLess(sent, 4_000_000)
        with self.session() as session:
            socket = session.websocket()
            socket.send(b"still there")
            session.until(lambda: socket.received)
            socket.close()

    def test_the_end_of_one_leaves_a_frame_of_another_alone(self):
        payload = os.urandom(10_000)
        with self.session() as session:
            ends, stays = session.websocket(), session.websocket()
            end, frame = ends.frame(CloseConnection(1000)), stays.frame(BytesMessage(payload))
            session.send(end + frame[:5_000])
            session.until(lambda: ends.closed)
            session.send(frame[5_000:])
            session.until(lambda: len(stays.received) == len(payload))
            self.assertEqual(stays.received, payload)
            stays.close()

    def test_credit_below_zero_may_be_raised_a_little(self):
        with self.session() as session:
            socket = session.websocket()
            payload = os.urandom(10_000)
            socket.send(payload)
            session.until(lambda: len(socket.received) == len(payload))
            # What came is taken from no credit at all now.
            session.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 0})
            session.settle()
            self.assertLess(session.h2.remote_flow_control_window(socket.stream), 0)
            session.h2.increment_flow_control_window(1, socket.stream)
            session.settle()
            self.assertFalse(socket.closed)
            socket.read()
            session.h2.increment_flow_control_window(len(payload), socket.stream)
            session.flush()
            socket.send(b"still there")
            session.until(lambda: len(socket.received) > len(payload))
            self.assertEqual(socket.received, payload + b"still there")
            socket.close()

    def test_credit_beyond_what_there_may_be_ends_the_connection(self):
        most = 2**31 - 1
        with self.session() as session:
            socket = session.websocket()
            session.h2.increment_flow_control_window(1, socket.stream)
            session.flush()
            # By hand, as python's h2 does not send it.
            session.send(SettingsFrame(
                settings={SettingsFrame.INITIAL_WINDOW_SIZE: most}).serialize())
            with self.assertRaises(Terminated) as ended:
                session.settle()
            self.assertEqual(ended.exception.error_code, ErrorCodes.FLOW_CONTROL_ERROR)


if __name__ == "__main__":
    unittest.main()
