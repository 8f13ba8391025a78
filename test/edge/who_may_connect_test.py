# SPDX-License-Identifier: MIT
"""Pages from elsewhere open no WebSocket, and a name that was rebound to this machine gets nothing."""

import os
import re
import socket
import ssl
import unittest
from collections import namedtuple
from pathlib import Path

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ResponseReceived, StreamReset
from h2.settings import SettingCodes

from edge import PATIENCE_S, Server, WebSocketPeer, security

CERTIFICATE = Path(os.environ["LWS_PROTON_TLS_DIR"])
TLS = ("--tls-cert", CERTIFICATE / "cert.pem", "--tls-key", CERTIFICATE / "key.pem")
NOBODY = "amqp://127.0.0.1:1"

# `paths` are those of the first port. `status` are those of the other.
Program = namedtuple("Program", "name arguments ports subprotocol paths status tls options")
PROGRAMS = [
    Program("lws-proton-gateway", ("--broker", NOBODY), ("--listen", "0", "--status-port", "0"),
            "amqp", ("/",), ("/health", "/metrics", "/"), True, True),
    Program("broker", (), ("--amqp-port", "0", "--http-port", "0"), "amqp", ("/", "/queues"), (),
            True, True),
    Program("lws-proton-amqp-echo", (), ("--port", "0"), "amqp", ("/",), (), True, True),
    Program("lws-proton-one-port", (), ("--port", "0"), "echo", ("/", "/index.html"), (), False,
            True),
    Program("lws-proton-poll-loop", (), ("--port", "0"), "echo", ("/", "/index.html"), (), False,
            False),
    Program("lws-proton-echo", (), ("--port", "0"), "echo", ("/",), (), True, True),
    Program("lws-proton-mirror", ("--files", "/etc"), ("--port", "0"), "lws-mirror-protocol",
            ("/", "/lws-common.js", "/files/hostname"), (), True, True),
    Program("lws-proton-amqp-and-mirror", (), ("--port", "0", "--http-port", "0"),
            "lws-mirror-protocol", ("/", "/lws-common.js"), (), False, True),
]

# PORT is the server's own.
OWN = ["http://localhost:PORT", "HTTP://LOCALHOST:PORT"]
FOREIGN = ["http://evil.example", "http://evil.example:PORT", "http://localhost",
           "http://localhost:1", "https://localhost:PORT", "http://localhost:PORT.evil.example",
           "http://localhost.evil.example:PORT", "http://127.0.0.1:PORT", "null", "",
           "localhost:PORT", "http://", "http://localhost:PORT/", "http://user@localhost:PORT",
           "http://localhost:PORT, http://localhost:PORT", "http://localhost:0PORT0",
           "file://", "http://" + "a" * 400]
THIS_MACHINE = ["localhost", "LocalHost:PORT", "127.0.0.1:PORT", "127.1.2.3", "[::1]:PORT", "[::1]",
                "a.localhost:PORT", None]
ELSEWHERE = ["evil.example", "evil.example:PORT", "localhost.evil.example", "evillocalhost",
             "192.0.2.1:PORT", "128.0.0.1", "[::2]", "[fe80::1]:PORT", "localhost:PORT:PORT",
             "localhost:0", "localhost:99999", "localhost@evil.example", "[::1", "127.0.0.1.nip.io",
             ".localhost", "0x7f.0.0.1", "2130706433", "a" * 400]


def start(program, *arguments, **options):
    return Server(program.name, *program.arguments, *arguments, ports=program.ports, **options)


def ask(port, lines):
    """The status and the rest of the answer."""
    with socket.create_connection(("127.0.0.1", int(port)), PATIENCE_S) as peer:
        peer.sendall("\r\n".join([*lines, "", ""]).encode())
        answer = b""
        while b"\r\n\r\n" not in answer or b"</html>" not in answer and b" 421 " in answer[:20]:
            data = peer.recv(65536)
            if not data:
                break
            answer += data
    head = answer.split(b"\r\n", 1)[0].split()
    return (int(head[1]) if len(head) > 1 else 0), answer.decode(errors="replace")


def get(port, path, host, method="GET"):
    hosts = [] if host is None else [f"Host: {host.replace('PORT', str(port))}"]
    return ask(port, [f"{method} {path} HTTP/1.1", *hosts, "Connection: close", "Content-Length: 0"])


def upgrade(port, subprotocol, *headers, host=None):
    with WebSocketPeer(port, upgrade=False) as peer:
        return peer.upgrade(subprotocol, [h.replace("PORT", str(port)) for h in headers], host)


class Http2:
    """Requests over HTTP/2 with TLS, WebSockets by RFC 8441 among them."""

    def __init__(self, port):
        trust = ssl.create_default_context(cafile=CERTIFICATE / "cert.pem")
        trust.set_alpn_protocols(["h2"])
        raw = socket.create_connection(("127.0.0.1", int(port)), PATIENCE_S)
        self.socket = trust.wrap_socket(raw, server_hostname="localhost")
        self.h2 = H2Connection(H2Configuration(header_encoding="utf-8",
                                               validate_outbound_headers=False))
        self.h2.initiate_connection()
        self.flush()
        while SettingCodes.ENABLE_CONNECT_PROTOCOL not in self.h2.remote_settings:
            self.read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def flush(self):
        self.socket.sendall(self.h2.data_to_send())

    def read(self):
        data = self.socket.recv(65536)
        if not data:
            raise AssertionError("the connection ended")
        events = self.h2.receive_data(data)
        self.flush()
        return events

    def ask(self, headers, body=None):
        stream = self.h2.get_next_available_stream_id()
        connect = (":method", "CONNECT") in headers
        self.h2.send_headers(stream, headers, end_stream=not connect and body is None)
        # As much as there is credit for: the answer does not wait for the rest.
        if body is not None:
            self.h2.send_data(stream, body[:self.h2.local_flow_control_window(stream)])
        self.flush()
        while True:
            for event in self.read():
                if isinstance(event, ResponseReceived) and event.stream_id == stream:
                    return int(dict(event.headers)[":status"])
                if isinstance(event, StreamReset) and event.stream_id == stream:
                    raise AssertionError("the stream was reset")

    def get(self, path, authority, *headers, method="GET", body=None):
        return self.ask([(":method", method), (":path", path), (":scheme", "https"),
                         (":authority", authority), *headers], body)

    def upgrade(self, authority, subprotocol, origin):
        return self.ask([(":method", "CONNECT"), (":protocol", "websocket"), (":path", "/"),
                         (":scheme", "https"), (":authority", authority),
                         ("sec-websocket-protocol", subprotocol), ("sec-websocket-version", "13"),
                         ("origin", origin)])


class WhoMayConnect(unittest.TestCase):
    def test_a_page_from_elsewhere_opens_no_websocket(self):
        tried = 0
        for program in PROGRAMS:
            with start(program) as server:
                self.assertEqual(upgrade(server.port, program.subprotocol), 101, program.name)
                for origin in OWN:
                    self.assertEqual(upgrade(server.port, program.subprotocol, f"Origin: {origin}"),
                                     101, (program.name, origin))
                for origin in FOREIGN:
                    self.assertEqual(upgrade(server.port, program.subprotocol, f"Origin: {origin}"),
                                     403, (program.name, origin))
                    tried += 1
                self.assertEqual(upgrade(server.port, program.subprotocol,
                                         "Origin: http://localhost:PORT", "Origin: http://evil"),
                                 403, program.name)
                # As another machine's page sees it whose name was rebound.
                self.assertEqual(upgrade(server.port, program.subprotocol,
                                         "Origin: http://evil.example:PORT",
                                         host=f"evil.example:{server.port}"), 421, program.name)
        security("a page from elsewhere opens a WebSocket",
                 "Origin is the server's own, or named by --origin", "403",
                 f"{tried} attempts on {len(PROGRAMS)} programs")

    def test_origins_that_are_named_may_connect(self):
        for program in PROGRAMS:
            if not program.options:
                continue
            with start(program, "--origin", "https://example.org", "--origin", "app://it") as server:
                for origin, status in [("https://example.org", 101), ("https://example.org:443", 101),
                                       ("HTTPS://Example.ORG", 101), ("app://it", 101),
                                       ("http://localhost:PORT", 101), ("http://example.org", 403),
                                       ("https://example.org:444", 403), ("null", 403),
                                       ("https://www.example.org", 403)]:
                    self.assertEqual(upgrade(server.port, program.subprotocol, f"Origin: {origin}"),
                                     status, (program.name, origin))
        with start(PROGRAMS[0], "--origin", "*") as server:
            for origin in FOREIGN:
                self.assertEqual(upgrade(server.port, "amqp", f"Origin: {origin}"), 101, origin)

    def test_a_name_that_was_rebound_gets_nothing(self):
        tried = 0
        for program in PROGRAMS:
            with start(program) as server:
                ports = [(server.port, path) for path in program.paths]
                ports += [(server.status_port, path) for path in program.status]
                for port, path in ports:
                    allowed = {host: get(port, path, host)[0] for host in THIS_MACHINE}
                    self.assertEqual(len(set(allowed.values())), 1, (program.name, path, allowed))
                    self.assertNotIn(421, allowed.values(), (program.name, path))
                    for host in ELSEWHERE:
                        status, answer = get(port, path, host)
                        self.assertEqual(status, 421, (program.name, path, host))
                        self.assertIn("does not name this server", answer)
                        tried += 1
                    # The mirror demo has a form.
                    for to in (path, "/formtest"):
                        self.assertEqual(get(port, to, "evil.example", method="POST")[0], 421)
                    self.assertEqual(ask(port, [f"GET {path} HTTP/1.1", "Host: localhost",
                                                "Host: evil.example", "Connection: close"])[0], 421)
                if program.status:
                    text = get(server.status_port, "/metrics", "localhost")[1]
                    counted = re.search(r'refused_total\{reason="host"\} (\d+)', text)
                    self.assertGreaterEqual(int(counted[1]), tried)
        security("a page from elsewhere whose name was rebound to 127.0.0.1 (DNS rebinding)",
                 "Host names this machine, or is named by --host", "421 and words",
                 f"{tried} requests to {len(PROGRAMS)} programs")

    def test_a_listener_on_loopback_of_ipv6_is_one_on_loopback(self):
        with start(PROGRAMS[0], "--bind", "::1") as server:
            def status(host, origin):
                with WebSocketPeer(server.port, upgrade=False, host="::1") as peer:
                    return peer.upgrade("amqp", [f"Origin: {origin}"], host)
            here = f"[::1]:{server.port}"
            for host, origin, expected in [(here, f"http://{here}", 101),
                                           (here, "http://evil.example", 403),
                                           (here, f"http://[::2]:{server.port}", 403),
                                           (here, f"http://[::ffff:127.0.0.1]:{server.port}", 403),
                                           ("evil.example", "http://evil.example", 421),
                                           ("[::ffff:192.0.2.1]", "null", 421)]:
                self.assertEqual(status(host, origin), expected, (host, origin))

    def test_hosts_that_are_named_are_answered(self):
        for program in PROGRAMS:
            if not program.options:
                continue
            with start(program, "--host", "amqp.example.org") as server:
                port = server.status_port if program.status else server.port
                for host, refused in [("amqp.example.org", False), ("AMQP.Example.org:5671", False),
                                      ("localhost", False), ("example.org", True)]:
                    self.assertEqual(get(port, "/", host)[0] == 421, refused, (program.name, host))
                # Behind a proxy that passes Host on, and ends no TLS.
                self.assertEqual(upgrade(server.port, program.subprotocol,
                                         "Origin: http://amqp.example.org", host="amqp.example.org"),
                                 101, program.name)

    def test_over_http2_it_is_the_same(self):
        for program in PROGRAMS:
            if not program.tls:
                continue
            with start(program, *TLS) as server:
                here = f"localhost:{server.port}"
                with Http2(server.port) as session:
                    for path in program.paths:
                        self.assertNotEqual(session.get(path, here), 421, program.name)
                        self.assertEqual(session.get(path, "evil.example"), 421, program.name)
                        self.assertEqual(session.get(path, here, ("host", "evil.example")), 421)
                        self.assertEqual(session.get(path, "evil.example", ("host", here)), 421)
                        for to in (path, "/formtest"):
                            self.assertEqual(session.get(to, "evil.example", method="POST",
                                                         body=b"x" * 16000), 421, program.name)
                    for authority, origin, status in [
                            (here, f"https://{here}", 200), (here, f"http://{here}", 403),
                            (here, "https://evil.example", 403), (here, "null", 403),
                            ("evil.example", "https://evil.example", 421)]:
                        self.assertEqual(session.upgrade(authority, program.subprotocol, origin),
                                         status, (program.name, authority, origin))
                    # What was refused leaves nothing behind that the others would feel.
                    self.assertNotEqual(session.get(program.paths[0], here), 421)


if __name__ == "__main__":
    unittest.main()
