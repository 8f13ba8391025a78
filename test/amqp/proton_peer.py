"""Debian's Proton for Python on one end of a queue, over TCP: what is at the other end is a test's.

    proton_peer.py send|receive URL QUEUE COUNT CREDIT SETTLED

Message N has the id N, in digits, and a body of size_of(N) bytes, each N modulo 256. It says
"half" when half of them have been accepted, or have come, and ends with status 0 once all have,
in order and as they are.
"""

import sys

from proton.handlers import MessagingHandler
from proton.reactor import AtMostOnce, AtLeastOnce, Container
from proton import Message


# Brokers give credit for more than is to be held here.
MOST_ON_THEIR_WAY = 100


def size_of(number):
    """As conversation.mjs has it."""
    if number % 1000 == 999:
        return 5_000_000
    return 1_000_000 if number % 100 == 99 else [0, 1, 10, 100, 1000, 10_000][number % 6]


def body_of(number):
    return bytes([number & 255]) * size_of(number)


class Peer(MessagingHandler):
    def __init__(self, url, queue, count, credit, settled):
        # With a prefetch of 1 Proton gives credit once, and no more.
        super().__init__(prefetch=0)
        self.credit = credit
        self.url, self.queue, self.count = url, queue, count
        self.options = AtMostOnce() if settled else AtLeastOnce()
        self.settled = settled
        self.at = 0
        self.done = 0

    def on_start(self, event):
        self.open(event.container, event.container.connect(self.url, reconnect=False))

    def finish(self, event):
        self.done += 1
        if self.done == self.count // 2:
            print("half", flush=True)
        if self.done == self.count:
            event.connection.close()

    def on_transport_error(self, event):
        sys.exit(f"transport: {event.transport.condition}")

    def on_link_error(self, event):
        sys.exit(f"link: {event.link.remote_condition}")

    def on_rejected(self, event):
        sys.exit("rejected")

    def on_released(self, event):
        sys.exit("released")


class Sender(Peer):
    def open(self, container, connection):
        container.create_sender(connection, self.queue, options=self.options)

    def on_sendable(self, event):
        while self.at < self.count and event.sender.credit and self.at - self.done < MOST_ON_THEIR_WAY:
            event.sender.send(Message(id=str(self.at), body=body_of(self.at), inferred=True))
            self.at += 1
            if self.settled:
                self.finish(event)

    def on_accepted(self, event):
        self.finish(event)
        self.on_sendable(event)


class Receiver(Peer):
    def open(self, container, connection):
        container.create_receiver(connection, self.queue, options=self.options).flow(self.credit)

    def on_message(self, event):
        message = event.message
        body = bytes(message.body)
        if message.id != str(self.at) or body != body_of(self.at):
            sys.exit(f"message {self.at} is {message.id} of {len(body)} bytes")
        self.at += 1
        event.receiver.flow(1)
        self.finish(event)


def main(what, url, queue, count, credit, settled):
    kind = {"send": Sender, "receive": Receiver}[what]
    peer = kind(url, queue, int(count), int(credit), settled == "true")
    Container(peer).run()
    if peer.done != peer.count:
        sys.exit(f"{peer.done} of {peer.count}")


main(*sys.argv[1:])
