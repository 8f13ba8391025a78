# SPDX-License-Identifier: MIT
"""Clients that mean well, beside the others, each in a thread of its own."""

import threading

from proton import Message
from proton.utils import BlockingConnection

from edge import PATIENCE_S, WebSocketPeer


class _Honest:
    """Exchanges numbered messages, and checks each and every byte, for as long as it is entered. Leaving
    it raises what went wrong."""

    def __init__(self):
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._error = None
        self.messages = 0

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, error, *_):
        self._stop.set()
        self._thread.join(PATIENCE_S)
        if not error and self._error:
            raise self._error
        if not error and not self.messages:
            raise AssertionError("the honest client was not served")

    def _run(self):
        try:
            self._exchange()
        except Exception as error:  # pylint: disable=broad-except
            self._error = error


class Honest(_Honest):
    """AMQP over TCP, by Debian's Proton for Python: to a node of its own, and from it."""

    def __init__(self, amqp_port, node="honest"):
        super().__init__()
        self._url = f"amqp://localhost:{amqp_port}"
        self._node = node

    @staticmethod
    def _body(number):
        return bytes([number & 255]) * (1 + number * 37 % 5000)

    def _exchange(self):
        connection = BlockingConnection(self._url, timeout=PATIENCE_S, heartbeat=10)
        receiver = connection.create_receiver(self._node, credit=10)
        sender = connection.create_sender(self._node)
        while not self._stop.is_set():
            number = self.messages
            sender.send(Message(id=number, body=self._body(number), inferred=True))
            message = receiver.receive()
            if message.id != number or bytes(message.body) != self._body(number):
                raise AssertionError(f"message {number} came as {message.id}")
            receiver.accept()
            self.messages += 1
        connection.close()


class HonestEcho(_Honest):
    """WebSocket messages, which come back."""

    def __init__(self, port):
        super().__init__()
        self._port = port

    def _exchange(self):
        with WebSocketPeer(self._port, subprotocol=None) as peer:
            while not self._stop.is_set():
                message = b"%d " % self.messages * 500
                peer.send(message)
                got = b""
                while len(got) < len(message):
                    data = peer._receive()
                    if not data:
                        raise AssertionError("the server ended the connection")
                    got += data
                if got != message:
                    raise AssertionError(f"message {self.messages} has changed")
                self.messages += 1
