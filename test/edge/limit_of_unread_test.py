# SPDX-License-Identifier: MIT
"""A Proton that limits what is unread of a connection takes the messages that our programs promise.

    LWS_PROTON_PRELOAD  limit_of_unread.c, built
"""

import os
import unittest

from edge import MIB, Peer, Server, until


class LimitOfUnread(unittest.TestCase):
    def expect_limit(self, limit, name, *arguments, **options):
        os.environ["LD_PRELOAD"] = os.environ["LWS_PROTON_PRELOAD"]
        try:
            server = Server(name, *arguments, **options)
        finally:
            del os.environ["LD_PRELOAD"]
        with server, Peer(server.amqp_port or server.port) as peer:
            peer.open_amqp()
            until(lambda: f"limit of unread bytes: {limit}\n" in server.log(), "such limit")

    def test_four_sessions_with_two_messages_each_may_be_unread(self):
        ports = {"ports": ("--amqp-port", "0", "--http-port", "0")}
        self.expect_limit(64 * MIB, "broker", **ports)
        self.expect_limit(128 * MIB, "broker", "--message-kib", 16 * 1024, "--queue-kib", 32 * 1024,
                          **ports)
        self.expect_limit(64 * MIB, "lws-proton-amqp-echo", ports=("--port", "0", "--amqp-port", "0"))
        self.expect_limit(512 * 1024, "lws-proton-one-port")
        self.expect_limit(512 * 1024, "lws-proton-amqp-and-mirror",
                          ports=("--port", "0", "--http-port", "0"))


if __name__ == "__main__":
    unittest.main()
