"""Python's proton, with SASL and messages of all kinds, against the examples that serve AMQP."""

import unittest
import uuid

from proton import Message
from proton.utils import BlockingConnection

from judge import PATIENCE_S, Server

MESSAGES = [
    Message(body="text, žluťoučký and 日本語", subject="one", id=1, durable=True),
    Message(body=b"\x00\xff" * 20_000, inferred=True, correlation_id=uuid.uuid4()),
    Message(body={"a": [1, 2.5, None], "b": True}, properties={"key": "value"}, priority=9),
    Message(body=None, reply_to="elsewhere", ttl=1000),
]


def encoded(messages):
    return [message.encode() for message in messages]


class Peers(unittest.TestCase):
    def connect(self, server, **options):
        connection = BlockingConnection(f"amqp://localhost:{server.amqp_port}",
                                        timeout=PATIENCE_S, **options)
        self.addCleanup(connection.close)
        return connection


class Queues(Peers):
    @classmethod
    def setUpClass(cls):
        cls.server = cls.enterClassContext(
            Server("lws-proton-amqp-and-mirror", "--http-port", 0, "--threads", 4))

    def test_messages_of_all_kinds_arrive_as_they_were(self):
        sender = self.connect(self.server).create_sender("kinds")
        for message in MESSAGES:
            sender.send(message)
        receiver = self.connect(self.server).create_receiver("kinds", credit=2)
        arrived = []
        for _ in MESSAGES:
            arrived.append(receiver.receive())
            receiver.accept()
        self.assertEqual(encoded(arrived), encoded(MESSAGES))

    def test_what_is_released_is_for_others(self):
        connection = self.connect(self.server)
        connection.create_sender("released").send(MESSAGES[0])
        first = connection.create_receiver("released", credit=1)
        first.receive()
        first.release(delivered=False)
        first.close()
        second = connection.create_receiver("released", credit=1)
        self.assertEqual(second.receive().body, MESSAGES[0].body)
        second.accept()


class Echo(Peers):
    def test_messages_come_back_as_they_were(self):
        with Server("lws-proton-one-port", "--threads", 4) as server:
            connection = self.connect(server, heartbeat=1)
            receiver = connection.create_receiver("node", credit=2)
            sender = connection.create_sender("node")
            arrived = []
            for message in MESSAGES:
                sender.send(message)
                arrived.append(receiver.receive())
            self.assertEqual(encoded(arrived), encoded(MESSAGES))
            connection.close()


if __name__ == "__main__":
    unittest.main()
