# SPDX-License-Identifier: MIT
"""Frames that Proton 0.37 does not survive end their own connection, and not the process."""

import unittest
from contextlib import ExitStack

from amqp_frames import (CLOSE, DATA_SECTION, HEADER, SASL_HEADER, SASL_INIT, SASL_RESPONSE, SENDER,
                         TRANSFER, Encoded, Symbol, attach, begin, encode, frame, open_frame)
from edge import KIB, Peer, WebSocketPeer, security
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


    def test_sasl_that_is_none(self):
        anonymous = frame(0, SASL_INIT, Symbol("ANONYMOUS"), sasl=True)
        nameless = [frame(0, SASL_INIT, sasl=True), frame(0, SASL_INIT, None, b"x", sasl=True),
                    frame(0, SASL_INIT, "ANONYMOUS", sasl=True),
                    frame(0, SASL_INIT, Encoded(b"\xa3\x7fANONYMOUS"), sasl=True),
                    frame(0, SASL_INIT, Symbol("A" * 200), sasl=True)]
        # Proton keeps each of the mechanisms.
        again = frame(0, SASL_INIT, Symbol("A" * 15), b"r" * KIB, sasl=True) * 1000
        opened = SASL_HEADER + anonymous + HEADER + open_frame()
        attacks = [SASL_HEADER + init for init in nameless]
        attacks += [opened + init for init in nameless]
        attacks += [SASL_HEADER + anonymous + again, opened + again, HEADER + open_frame() + again,
                    opened + frame(0, SASL_RESPONSE, b"x", sasl=True)]
        # All at once: a WebSocket's peer has five seconds to answer the close, and does not.
        with ExitStack() as stack:
            servers = [(program, stack.enter_context(program.start(open_s=3600, idle_s=3600)))
                       for program in PROGRAMS]
            peers = [(peer, attack) for program, server in servers for attack in attacks
                     for peer in self.peers(program, server)]
            for peer, attack in peers:
                stack.enter_context(peer)
                peer.send_as_far_as_it_goes(attack, patience=0.2)
            for peer, attack in peers:
                with self.subTest(attack=attack[:60]):
                    peer.wait_for_end()
            for _, server in servers:
                with Peer(server.amqp_port) as honest:
                    honest.open_amqp()
        security("SASL without a mechanism, again and again, or when it is over",
                 "the frame is looked at before Proton has it", "the end of the connection",
                 f"{len(peers)} peers, others are served")


if __name__ == "__main__":
    unittest.main()
