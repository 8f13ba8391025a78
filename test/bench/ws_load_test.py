# SPDX-License-Identifier: MIT
"""ws-load against the servers that it is for: what it tells in JSON holds together."""

import json
import os
import unittest
from pathlib import Path

from judge import SANITIZED, Server, program, run

TLS = Path(os.environ["LWS_PROTON_TEST_TLS_DIR"])
WITH_TLS = ("--tls-cert", TLS / "cert.pem", "--tls-key", TLS / "key.pem")
ECHO, RAW_ECHO = "lws-proton-echo", "proton-raw-echo"
MANY = 501 if SANITIZED else 2001


def load(server, *arguments, status=0):
    done = run(program("ws-load"), "--port", server.port, *arguments, status=status)
    return json.loads(done.text)


class WsLoad(unittest.TestCase):
    def counted(self, server, arguments, messages, counted=None):
        """A run of so many messages tells that it counted them."""
        result = load(server, *arguments, "--messages", messages, "--server-pid", server.pid)
        self.assertTrue(result["ok"])
        self.assertEqual(result["messages"], counted or messages)
        self.assertAlmostEqual(result["messages"] / result["seconds"],
                               result["messages_per_second"], delta=1)
        latencies = list(result["latency_us"].values())
        self.assertEqual(latencies, sorted(latencies))
        self.assertGreater(latencies[0], 0)
        for process in ("server", "client"):
            self.assertGreater(result[process]["cpu_seconds"], 0)
        self.assertGreaterEqual(result["server"]["peak_rss_kib"], result["server"]["rss_kib"])
        self.assertGreater(result["server"]["rss_kib"], 1000)
        return result

    def test_every_kind_of_echo_is_counted(self):
        for arguments in (["--connections", 1],
                          ["--connections", 20, "--in-flight", 64],
                          ["--connections", 3, "--in-flight", 4, "--size", 100000],
                          ["--connections", 3, "--in-flight", 2, "--size", 8, "--text"],
                          ["--connections", 4, "--threads", 2],
                          ["--idle", 50],
                          ["--deflate", "--in-flight", 4, "--size", 3000],
                          ["--deflate", "--anew", "--in-flight", 4, "--size", 3000]):
            with self.subTest(arguments=arguments), Server(ECHO) as server:
                self.counted(server, arguments, MANY)

    def test_echo_under_tls_is_counted(self):
        for arguments in (["--in-flight", 16], ["--in-flight", 2, "--size", 50000],
                          ["--deflate", "--text"]):
            with self.subTest(arguments=arguments), Server(ECHO, *WITH_TLS) as server:
                self.counted(server, ["--tls", *arguments], MANY)

    def test_raw_echo_is_counted(self):
        for arguments in (["--in-flight", 64], ["--in-flight", 2, "--size", 100000]):
            with self.subTest(arguments=arguments), Server(RAW_ECHO) as server:
                self.counted(server, ["--raw", *arguments], MANY)

    def test_a_broadcast_is_counted_at_every_receiver(self):
        for in_flight, size in ((1, 64), (16, 4096), (100, 20000)):
            with self.subTest(in_flight=in_flight, size=size), \
                    Server(ECHO, "--broadcast") as server:
                self.counted(server, ["--mode", "broadcast", "--connections", 20, "--in-flight",
                                      in_flight, "--size", size], 200, counted=200 * 20)

    def test_connections_that_are_set_up_are_counted(self):
        for more in ([], ["--tls"]):
            with self.subTest(more=more), Server(ECHO, *(WITH_TLS if more else ())) as server:
                self.counted(server, ["--mode", "setup", *more], 200)

    def test_a_fixed_rate_is_kept(self):
        with Server(ECHO) as server:
            result = load(server, "--rate", 2000, "--warm-up", 0.1, "--seconds", 1)
        self.assertTrue(result["latency_corrected"])
        # What is late is sent, too: only the last ones may be missing.
        self.assertAlmostEqual(result["messages_per_second"], 2000, delta=200)

    def test_a_time_is_kept(self):
        with Server(ECHO) as server:
            result = load(server, "--warm-up", 0, "--seconds", 0.3)
        self.assertGreaterEqual(result["seconds"], 0.3)
        self.assertGreater(result["messages"], 0)
        self.assertNotIn("server", result)

    def test_bad_usage_is_told(self):
        for arguments in (["--raw", "--tls"], ["--size", 7], ["--threads", 11], ["--mode", "ehco"],
                          ["--mode", "broadcast", "--threads", 2], ["--anew"]):
            with self.subTest(arguments=arguments):
                done = run(program("ws-load"), "--port", 1, *arguments, status=2)
                self.assertNotEqual(done.log + done.text, "")


if __name__ == "__main__":
    unittest.main()
