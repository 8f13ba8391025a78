# SPDX-License-Identifier: MIT
"""Frames that Proton 0.37 does not survive end their own connection, and not the process."""

import unittest
from contextlib import ExitStack

from amqp_frames import (ATTACH, BEGIN, CLOSE, DATA_SECTION, DISPOSITION, END, ERROR, HEADER, RECEIVER,
                         SASL_HEADER, SASL_INIT, SASL_RESPONSE, SENDER, SOURCE, TARGET, TRANSFER,
                         Described, Encoded, Symbol, Ushort, attach, begin, detach, encode, end, flow,
                         frame, open_frame, transfer)
from edge import KIB, MIB, Peer, Watch, WebSocketPeer, memory, security
from programs import PROGRAMS

# Of values that take no bytes: Proton makes an object of 72 bytes of each.
NULLS = Encoded(b"\xf0\0\0\0\5\0\0\xfd\xe8\x40")
STATE = Encoded(b"\0\x53\x99" + NULLS)


def answer(channel, ours):
    return frame(channel, BEGIN, Ushort(ours), 0, 2048, 2048)


def bare_transfer(handle, *, state=None, aborted=None):
    return frame(0, TRANSFER, handle, None, b"t", 0, False, False, None, state, None, aborted,
                 payload=b"\0Sw@")


def attach_with(value):
    """In each place of an attach that has a map or symbols."""
    source = Described(SOURCE, "q", None, None, None, None, value, None, value, None, value, value)
    target = Described(TARGET, "q", None, None, None, None, value, value)
    return frame(0, ATTACH, "large", 5, SENDER, None, None, source, target, None, None, 0, None, None,
                 None, value)


# Of a peer that sends by handle 0 of channel 0, and receives by handle 1 with credit. Proton 0.37 does not
# survive the first ones, and makes much too much of the others.
ATTACKS = {
    "a transfer where the peer receives": bare_transfer(1, aborted=True) + bare_transfer(0) * 9,
    "a begin on a channel in use": begin(0) + end(0) + begin(0),
    "an answer to its own begin": answer(1, 0) + end(1) + attach(0, 2, SENDER, "q") + end(0) + begin(0),
    "a handle for two links": attach(0, 0, SENDER, "q", "other") + detach(0, 0) + end(0),
    "two handles above 2^31 for a link":
        attach(0, 0x80000001, SENDER, "q", "n") + attach(0, 0x80000002, SENDER, "q", "n") +
        detach(0, 0x80000002) + bare_transfer(0x80000001) + end(0),
    "a handle that is Proton's for none, twice":
        attach(0, 0xffffffff, SENDER, "q", "n") * 2 + bare_transfer(0xffffffff) +
        detach(0, 0xffffffff) + end(0),
    "a second open": open_frame() + transfer(0, 0, 0),
    "opens with endless arrays": frame(0, 0x10, "c", None, None, None, None, None, None, NULLS, NULLS,
                                       NULLS) * 100,
    "attaches with endless arrays": attach_with(NULLS),
    "an end with an endless array": frame(0, END, Described(ERROR, Symbol("e"), "", NULLS)),
    "transfers whose state is an endless array": bare_transfer(0, state=STATE) * 100,
    "a disposition whose state is an endless array":
        bare_transfer(0) * 100 + frame(0, DISPOSITION, RECEIVER, 0, 99, False, STATE),
}


class Assertions(unittest.TestCase):
    def peers(self, program, server):
        yield Peer(server.amqp_port)
        if program.amqp_over_websocket:
            yield WebSocketPeer(server.port)

    def begun(self, peer):
        peer.open_amqp()
        peer.send(begin(0) + attach(0, 0, SENDER, "q") + attach(0, 1, RECEIVER, "q") +
                  flow(0, 1, 1000))
        for _ in range(2):
            peer.read_frames(ATTACH)

    def test_frames_that_do_not_fit_what_the_peer_has_begun(self):
        tried = 0
        grown = []
        for program in PROGRAMS:
            for name, attack in ATTACKS.items():
                with program.start() as server:
                    before = memory(server.pid)
                    for peer in self.peers(program, server):
                        with self.subTest(program=program.name, attack=name), peer, \
                                Watch(server.pid) as watch:
                            self.begun(peer)
                            peer.send(attack)
                            frames = peer.read_frames(CLOSE)
                            self.assertIn(b"amqp:connection:framing-error", frames[-1][2])
                            tried += 1
                        grown.append(watch.most - before)
                        self.assertLess(grown[-1], 16 * MIB, (program.name, name))
                    with Peer(server.amqp_port) as honest:
                        honest.open_amqp()
        security("frames that do not fit what the peer has begun, or are not encoded well",
                 "the frame is looked at before Proton has it",
                 "close with amqp:connection:framing-error",
                 f"{len(ATTACKS)} attacks, {tried} peers, at most {max(grown) / MIB:.1f} MiB more memory, "
                 "others are served")

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
