# SPDX-License-Identifier: MIT
"""A client that means well, beside the others: Debian's Proton for Python, in a thread of its own."""

import threading

from proton import Message
from proton.utils import BlockingConnection

from judge import PATIENCE_S


class Honest:
    """Sends numbered messages to a node, receives them from it, and checks each and every byte, for as
    long as it is entered. Leaving it raises what went wrong."""

    def __init__(self, amqp_port, node="honest"):
        self._url = f"amqp://localhost:{amqp_port}"
        self._node = node
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

    @staticmethod
    def _body(number):
        return bytes([number & 255]) * (1 + number * 37 % 5000)

    def _run(self):
        try:
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
        except Exception as error:  # pylint: disable=broad-except
            self._error = error
