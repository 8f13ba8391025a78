# SPDX-License-Identifier: MIT
"""A log that nobody reads, that a peer would forge, that a peer would flood."""

import fcntl
import os
import re
import struct
import tempfile
import threading
import time
import unittest

from edge import KIB, Peer, Server, WebSocketPeer, security, until
from honest import HonestEcho

BROKER_PORTS = ("--amqp-port", "0", "--http-port", "0")
# Of proton-glue/include/lws_proton_log.h.
KIND_BURST, KIND_RATE, REPORT_MS, LINE = 2048, 300, 5000, 1024
# What each line of log begins with, unless a peer has made it.
STAMP = r"\[\d{4}/\d\d/\d\d \d\d:\d\d:\d\d:\d{4}\] [A-Z]: "


class Logs(unittest.TestCase):
    def test_a_log_that_nobody_reads_stops_no_service(self):
        reader, writer = os.pipe()
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4 * KIB)
        peers = 450
        with Server("broker", ports=BROKER_PORTS) as broker:
            with Server("lws-proton-gateway", "--broker", f"amqp://127.0.0.1:{broker.amqp_port}",
                        ports=("--port", "0"), stderr=writer) as gateway:
                os.close(writer)
                for _ in range(peers):
                    with WebSocketPeer(gateway.port) as peer:
                        self.assertEqual(peer.status, 101)
                with WebSocketPeer(gateway.port) as honest:
                    honest.open_amqp()
                text = b""

                def read():
                    nonlocal text
                    while data := os.read(reader, 64 * KIB):
                        text += data

                reading = threading.Thread(target=read)
                reading.start()
                until(lambda: b" lines lost, nobody read the log\n" in text, "count of lost lines")
            reading.join()
            os.close(reader)
        self.assertIn(" room for ", text.decode().split("\n", 1)[0])
        lines = text.decode().splitlines()[1:]
        lost = sum(int(found[1]) for line in lines
                   if (found := re.search(r"lws_proton: (\d+) lines lost,", line)))
        written = sum(" U: peer=" in line for line in lines)
        self.assertEqual(written + lost, peers + 1)
        for line in lines:
            self.assertRegex(line, STAMP)
        security("nobody reads the pipe that a gateway's log is",
                 "a queue of 32 KiB, then lines are lost and counted", "service as before",
                 f"{peers} connections: {written} lines written, {lost} counted as lost")

    def test_a_peer_makes_no_line_of_its_own(self):
        forged = b"x\n[2038/01/19 03:14:07:0000] E: forged \x1b[2J\xc2\x9b2J"
        with Server("lws-proton-amqp-echo", may_log="forged") as server:
            # As the reason that it closes its WebSocket with, as what is no AMQP, and in AMQP's close.
            with WebSocketPeer(server.port) as closing, WebSocketPeer(server.port) as websocket, \
                    Peer(server.amqp_port) as tcp:
                closing.send_message(8, struct.pack(">H", 4000) + forged)
                websocket.send(forged)
                tcp.send(forged)
                until(lambda: server.log().count("\n") >= 3, "three lines")
            lines = server.log().split("\n")
            self.assertEqual(len(lines), 4, lines)
            for line in lines[:-1]:
                self.assertRegex(line, "^" + STAMP + r"(ws|tcp): \".*\"$")
                self.assertTrue(line.isprintable(), line)
            self.assertIn(r"\x0a[2038", server.log())
            self.assertIn(r"\x1b[2J\xc2\x9b", server.log())
        security("newlines and escape sequences in what peers send",
                 "one line for a call, control characters are \\xNN", "-", "no line forged")

    def test_bad_requests_make_little_log(self):
        requests = 3000
        with tempfile.TemporaryFile() as file:
            with Server("lws-proton-echo", stderr=file) as server, HonestEcho(server.port) as honest:
                begun = time.monotonic()
                for _ in range(requests):
                    with WebSocketPeer(server.port, upgrade=False) as peer:
                        self.assertNotEqual(peer.upgrade("x" * 200), 101)
                took = time.monotonic() - begun
            file.seek(0)
            log = file.read().decode().split("\n", 1)[1]
        reports = [int(found) for found in re.findall(r"lws_proton: (\d+) lines left out", log)]
        written = log.count("\n") - len(reports)
        self.assertEqual(written + sum(reports), requests)
        most = KIND_BURST + KIND_RATE * took + LINE * (1 + took * 1000 / REPORT_MS)
        self.assertLess(len(log), most)
        security(f"{requests} refused upgrades", "2 KiB of a kind of lines, then 300 bytes a second",
                 "an answer each", f"{len(log)} bytes of log in {took:.1f} s, the rest is counted; "
                 f"{honest.messages} honest messages")


if __name__ == "__main__":
    unittest.main()
