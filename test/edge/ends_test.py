# SPDX-License-Identifier: MIT
"""Peers that end in every state of every protocol: the program is rid of them at once.

Deadlines are an hour here, so that it is the end of what the peer sent that ends the connection.
"""

import unittest

import amqp_frames as amqp
from edge import (KIB, LiveHeap, PATIENCE_S, Peer, SANITIZED, WebSocketPeer, allow_descriptors,
                  descriptors, security, until)
from honest import Honest
from programs import PROGRAMS

HOUR_S = 3600
PEERS = 3  # in each state at a time
LEAST_LEAK = 64  # bytes a peer
SASL_INIT = amqp.sasl_anonymous()[8:]
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n"
UPGRADE = (REQUEST + b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
           b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: ")

LINK = amqp.opening() + amqp.begin(0) + amqp.attach(0, 0, amqp.SENDER, "ends")

# What is sent before the end, of AMQP; or at first, and once the link is there.
AMQP_STATES = {
    "nothing": b"",
    "a part of AMQP's header": amqp.HEADER[:5],
    "AMQP's header": amqp.HEADER,
    "SASL's header": amqp.SASL_HEADER,
    "half a SASL frame": amqp.SASL_HEADER + SASL_INIT[:9],
    "SASL": amqp.sasl_anonymous(),
    "SASL and AMQP's header": amqp.sasl_anonymous() + amqp.HEADER,
    "half an open": amqp.opening()[:-3],
    "an open": amqp.opening(),
    "half the size of a frame": amqp.opening() + amqp.begin(0)[:2],
    "half a begin": amqp.opening() + amqp.begin(0)[:-3],
    "a session": amqp.opening() + amqp.begin(0),
    "a link": LINK,
    "half a transfer": (LINK, amqp.transfer(0, 0, 0, b"x" * 500)[:-100]),
    "half a delivery": (LINK, amqp.transfer(0, 0, 0, b"x" * 500, more=True)),
    "a close": amqp.opening() + amqp.close(),
}

# ... of HTTP and WebSocket, whose subprotocol is put in.
HTTP_STATES = {
    "half a request line": lambda name: REQUEST[:9],
    "half a request": lambda name: REQUEST,
    "half an upgrade": lambda name: UPGRADE,
    "an upgrade": lambda name: UPGRADE + name + b"\r\n\r\n",
    "half a frame's header": lambda name: UPGRADE + name + b"\r\n\r\n\x82\xfe\x01",
    "half a frame": lambda name: UPGRADE + name + b"\r\n\r\n\x82\xfe\x01\x00\0\0\0\0AMQP",
    "half a message": lambda name: UPGRADE + name + b"\r\n\r\n\x02\x84\0\0\0\0AMQP",
}


def end_by_close(peer):
    peer.close()


def end_by_reset(peer):
    peer.reset()


def end_by_shutdown(peer):
    peer.end_output()
    peer.wait_for_end()
    peer.close()


ENDS = [end_by_close, end_by_reset, end_by_shutdown]


class Ends(unittest.TestCase):
    def expect_gone(self, server, before, what):
        until(lambda: descriptors(server.pid) <= before, f"end of peers: {what}")

    def expect_all_ends(self, server, make, states, what):
        """`make` a peer that has sent something: some in each state, and each kind of end."""
        before = descriptors(server.pid)
        for end in ENDS:
            peers = [make(sent) for sent in states.values() for _ in range(PEERS)]
            # They are there before they end, but for those that said so.
            until(lambda: descriptors(server.pid) >= before + sum(map(self.is_there, peers)),
                  "such peers")
            for peer in peers:
                end(peer)
            self.expect_gone(server, before, f"{what}, {end.__name__}")
        return len(states) * len(ENDS) * PEERS

    @staticmethod
    def is_there(peer):
        peer.socket.setblocking(False)
        try:
            while peer.socket.recv(64 * KIB):
                pass
            return False
        except BlockingIOError:
            return True
        except OSError:
            return False
        finally:
            peer.socket.settimeout(PATIENCE_S)

    @staticmethod
    def over(kind, port):
        def make(sent):
            peer = kind(port)
            first, then = sent if isinstance(sent, tuple) else (sent, b"")
            if first:
                peer.send(first)
            if then:
                peer.read_frames(amqp.ATTACH)
                peer.send(then)
            return peer
        return make

    def expect_program_frees(self, program):
        with program.start(open_s=HOUR_S, idle_s=HOUR_S) as server, \
                Honest(server.amqp_port) as honest:
            until(lambda: honest.messages, "honest messages")
            count = self.expect_all_ends(server, self.over(Peer, server.amqp_port), AMQP_STATES,
                                         "AMQP over TCP")
            if program.amqp_over_websocket:
                count += self.expect_all_ends(server, self.over(WebSocketPeer, server.port), AMQP_STATES,
                                              "AMQP over WebSocket")
            subprotocol = program.websocket.encode()
            count += self.expect_all_ends(
                server, self.over(Peer, server.port),
                {what: sent(subprotocol) for what, sent in HTTP_STATES.items()}, "HTTP")
        return count, honest.messages

    def test_the_end_of_input_in_every_state_frees_the_connection(self):
        count = messages = 0
        for program in PROGRAMS:
            with self.subTest(program.name):
                peers, honest = self.expect_program_frees(program)
                count += peers
                messages += honest
        security("end in each state of TCP, WebSocket, HTTP, SASL and AMQP (close, reset, shutdown)",
                 "the end of the input ends the connection, whatever was half done",
                 "the end", f"{count} peers, all descriptors back; {messages} honest messages")

    def test_half_a_frame_then_the_end_leaves_nothing(self):
        peers = 100 if SANITIZED else 1100
        for program in PROGRAMS:
            with self.subTest(program.name), LiveHeap() as heap, \
                    program.start(open_s=HOUR_S, idle_s=HOUR_S) as server, \
                    Honest(server.amqp_port) as honest:
                until(lambda: honest.messages, "honest messages")
                before = descriptors(server.pid)
                held = []
                # What is kept once for all is there the second time.
                for _ in range(2):
                    for _ in range(peers):
                        with Peer(server.amqp_port) as peer:
                            peer.send(AMQP_STATES["half a begin"])
                    self.expect_gone(server, before, "half a frame")
                    served = honest.messages
                    until(lambda: honest.messages > served, "more honest messages")
                    held.append(heap.bytes())
                # The honest client's messages are there, too.
                until(lambda: heap.bytes() < held[0] + peers * LEAST_LEAK, "memory to be given back")
            security(f"half an AMQP frame, then close, twice {peers} times ({program.name})",
                     "the end of the input ends the connection", "the end",
                     f"{max(0, held[1] - held[0])} bytes held after the second time, no descriptor; "
                     f"{honest.messages} honest messages")


if __name__ == "__main__":
    allow_descriptors(4096)
    unittest.main()
