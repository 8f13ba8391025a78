# SPDX-License-Identifier: MIT
"""Frames that Proton 0.37 answers with an assertion end their own connection, and not the process."""

import unittest

from amqp_frames import (CLOSE, DATA_SECTION, SENDER, TRANSFER, attach, begin, encode, frame)
from edge import Peer, WebSocketPeer, security
from programs import PROGRAMS


class Assertions(unittest.TestCase):
    def peers(self, program, server):
        yield Peer(server.amqp_port)
        if program.amqp_over_websocket:
            yield WebSocketPeer(server.port)

    def test_a_delivery_that_begins_without_its_id(self):
        nameless = frame(0, TRANSFER, 0, None, None, 0, False, True,
                         payload=DATA_SECTION + encode(b"x"))
        tried = 0
        for program in PROGRAMS:
            with program.start() as server:
                for peer in self.peers(program, server):
                    with self.subTest(program=program.name), peer:
                        peer.open_amqp()
                        peer.send(begin(0) + attach(0, 0, SENDER, "node") + nameless)
                        frames = peer.read_frames(CLOSE)
                        self.assertIn(b"amqp:connection:framing-error", frames[-1][2])
                        tried += 1
                with Peer(server.amqp_port) as honest:
                    honest.open_amqp()
        security("a delivery that begins without its id, which Proton asserts",
                 "the frame is looked at before Proton has it",
                 "close with amqp:connection:framing-error", f"{tried} peers, others are served")


if __name__ == "__main__":
    unittest.main()
