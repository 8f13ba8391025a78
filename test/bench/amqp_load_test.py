# SPDX-License-Identifier: MIT
"""amqp-load against the broker: over every way, with whom else sends or receives, and that it tells
what is wrong."""

import json
import os
import socket
import subprocess
import sys
import unittest
from pathlib import Path

from judge import PATIENCE_S, SANITIZED, Server, program, run

TLS = Path(os.environ["LWS_PROTON_TEST_TLS_DIR"])
PROTON_PEER = Path(__file__).parent.parent / "amqp" / "proton_peer.py"
MANY = 500 if SANITIZED else 5000


class Broker(Server):
    def __init__(self, *arguments):
        super().__init__("broker", *arguments, ports=("--amqp-port", "0", "--http-port", "0"))
        self.tcp = f"amqp://localhost:{self.amqp_port}"
        self.ws = f"{'wss' if '--tls-cert' in arguments else 'ws'}://localhost:{self.port}"


def broker_with_tls():
    return Broker("--tls-cert", TLS / "cert.pem", "--tls-key", TLS / "key.pem")


def load(url, *arguments, messages=MANY):
    done = run(program("amqp-load"), "--url", url, "--messages", messages, *arguments)
    assert not done.log, done.log
    return json.loads(done.text)


class AmqpLoad(unittest.TestCase):
    def counted(self, url, *arguments, messages=MANY):
        result = load(url, *arguments, messages=messages)
        self.assertEqual(result["messages"], messages)
        self.assertAlmostEqual(result["messages"] / result["seconds"],
                               result["messages_per_second"], delta=1)
        self.assertGreater(result["cpu_seconds"], 0)
        return result

    def wrong(self, words, url, *arguments, status=1):
        done = run(program("amqp-load"), "--url", url, *arguments, status=status)
        self.assertEqual(done.text, "")
        self.assertIn(words, done.log)
        if status == 1:
            self.assertEqual(len(done.log.splitlines()), 1, done.log)

    def test_what_is_sent_comes_whatever_carries_it(self):
        with Broker() as broker, broker_with_tls() as secure:
            for url, more in ((broker.tcp, []), (broker.ws, []),
                              (secure.ws, ["--ca", TLS / "cert.pem"])):
                for how in ([], ["--settled"], ["--credit", 1], ["--credit", 30000],
                            ["--size", 0], ["--size", 100000]):
                    with self.subTest(url=url, how=how):
                        result = self.counted(url, *more, *how, messages=MANY // 5)
                        size = int(how[1]) if "--size" in how else 1024
                        self.assertEqual(result["bytes"], MANY // 5 * size)
                with self.subTest(url=url, how="mixed"):
                    self.counted(url, *more, "--size", "mixed", "--largest", 7_000_000,
                                 messages=1001)

    def test_a_server_is_measured_as_well(self):
        with Broker() as broker:
            result = self.counted(broker.ws, "--server-pid", broker.pid)
        self.assertGreater(result["server_cpu_seconds"], 0)

    def test_sides_may_be_apart(self):
        with Broker() as broker:
            for settled in ([], ["--settled"]):
                self.counted(broker.ws, "--send", *settled)
                self.counted(broker.tcp, "--receive", *settled)

    def test_the_other_side_may_be_another_program(self):
        def python(what, broker):
            run(sys.executable, PROTON_PEER, what, broker.tcp, "q", 200, 10, "false")

        with Broker() as broker:
            mixed = ["--queue", "q", "--size", "mixed"]
            load(broker.ws, "--send", *mixed, messages=200)
            python("receive", broker)
            python("send", broker)
            load(broker.ws, "--receive", *mixed, messages=200)

    def test_what_is_not_due_is_noticed(self):
        for sent, due, words in (
                ([], [], "message 3 is due, and '0' has come"),
                (["--size", 10], ["--size", 11], "message 0 has 10 bytes, not 11"),
                # It ends while the last is still coming.
                (["--size", 10000], ["--size", 0], "message 0 has 10000 bytes, not 0")):
            for way in ("tcp", "ws"):
                with self.subTest(words=words, way=way), Broker() as broker:
                    for _ in range(2):
                        load(broker.ws, "--send", *sent, messages=3)
                    self.wrong(words, getattr(broker, way), "--receive", "--messages", 4, *due)

    def test_messages_that_the_broker_refuses_are_told(self):
        too_long = ["--send", "--messages", 1001, "--largest", 100_000]
        with Broker("--message-kib", "64") as broker:
            for url in (broker.tcp, broker.ws):
                self.wrong("message 999 was rejected: amqp:link:message-size-exceeded",
                           url, *too_long)
                self.wrong("the sender's link was ended by the broker: "
                           "amqp:link:message-size-exceeded", url, "--settled", *too_long)

    def test_a_queue_that_is_refused_is_told(self):
        with Broker() as broker:
            for url in (broker.tcp, broker.ws):
                self.wrong("link was ended by the broker: amqp:invalid-field", url,
                           "--queue", "x" * 300)

    def test_who_cannot_be_reached_is_told(self):
        with socket.socket() as nobody:
            nobody.bind(("127.0.0.1", 0))
            for scheme in ("amqp", "ws", "wss"):
                self.wrong("has lost its connection", f"{scheme}://localhost:"
                           f"{nobody.getsockname()[1]}")
            nobody.listen()
            for scheme in ("amqp", "ws", "wss"):
                self.wrong("no progress any more", f"{scheme}://localhost:"
                           f"{nobody.getsockname()[1]}", "--patience", 0.3)
        with broker_with_tls() as secure:
            self.wrong("has lost its connection", secure.ws)

    def test_a_broker_that_goes_is_told(self):
        for way in ("tcp", "ws"):
            with Broker() as broker:
                # Nobody sends.
                child = subprocess.Popen(
                    [program("amqp-load"), "--url", getattr(broker, way), "--receive"],
                    stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                load(broker.tcp, "--queue", "another", messages=10)
                broker.stop()
                out, log = child.communicate(timeout=PATIENCE_S)
            self.assertEqual((child.returncode, out), (1, b""))
            self.assertRegex(log, b"^amqp-load: .*\n$")

    def test_idle_connections_stay_until_it_is_told_to_end(self):
        with Broker() as broker:
            for url in (broker.tcp, broker.ws):
                child = subprocess.Popen([program("amqp-load"), "--url", url, "--idle", "150"],
                                         stdout=subprocess.PIPE)
                self.assertEqual(json.loads(child.stdout.readline()), {"idle": 150})
                load(url, messages=10)
                child.terminate()
                self.assertEqual(child.communicate(timeout=PATIENCE_S)[0], b"")
                self.assertEqual(child.returncode, 0)

    def test_bad_usage_is_told(self):
        for arguments in (["--size", "large"], ["--size", "1e5"], ["--size", "-1"],
                          ["--size", 100_000_001], ["--messages", 0], ["--user", "somebody"],
                          ["--ca", "/nowhere"], ["--idle", 0]):
            with self.subTest(arguments=arguments):
                self.wrong("", "ws://localhost:1", *arguments, status=2)
        self.wrong("neither amqp:// nor ws://", "http://localhost:1", status=2)


if __name__ == "__main__":
    unittest.main()
