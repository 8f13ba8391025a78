# SPDX-License-Identifier: MIT
"""ws-load against servers that do what they should not: each fault is noticed, and named."""

import asyncio
import contextlib
import json
import socket
import threading
import time
import unittest

import websockets

from judge import program, run

FAULTY = 50  # the message that it happens to
PAUSE_S = 0.5


class BrokenServer:
    """An echo of Python's websockets in a thread, whose handler does something wrong."""

    def __init__(self, handler, **options):
        self._handler = handler
        self._options = options
        self._ready = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=(self._serve(),))

    async def _serve(self):
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        options = {"compression": None, "max_size": None, "ping_interval": None, **self._options}
        async with websockets.serve(self._handler, "127.0.0.1", 0, **options) as server:
            self.port = server.sockets[0].getsockname()[1]
            self._ready.set()
            await self._stop.wait()

    def __enter__(self):
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()


def echo_with(fault):
    """Echoes what `fault` makes of message FAULTY, a list of messages, and all others."""
    async def handler(peer):
        number = 0
        with contextlib.suppress(websockets.ConnectionClosed):
            async for message in peer:
                number += 1
                for answer in await fault(peer, message) if number == FAULTY else [message]:
                    await peer.send(answer)
    return handler


async def nothing_wrong(_, message):
    return [message]


async def change_a_byte(_, message):
    return [message[:20] + bytes([message[20] ^ 1]) + message[21:]]


async def leave_it_out(_, message):
    return []


async def send_it_twice(_, message):
    return [message, message]


async def cut_it_short(_, message):
    return [message[:-1]]


async def make_it_longer(_, message):
    return [message + b"x"]


async def make_it_text(_, message):
    return [message.decode()]


async def swap_with_the_next(peer, message):
    return [await peer.recv(), message]


async def pause_everything(_, message):
    time.sleep(PAUSE_S)
    return [message]


async def close(peer, message):
    await peer.close()
    return []


class BrokenServers(unittest.TestCase):
    def load(self, port, *arguments, status=1):
        done = run(program("ws-load"), "--port", port, "--messages", 1000, "--patience", 1,
                   *arguments, status=status)
        result = json.loads(done.text)
        self.assertEqual(result["ok"], status == 0)
        return result

    def noticed(self, fault, kind, *arguments, **options):
        with BrokenServer(echo_with(fault), **options) as server:
            error = self.load(server.port, "--connections", 2, *arguments)["error"]
        self.assertEqual(error["kind"], kind, error["text"])

    def test_an_echo_without_a_fault_is_good(self):
        for arguments in ([], ["--in-flight", 8]):
            with BrokenServer(echo_with(nothing_wrong)) as server:
                self.load(server.port, *arguments, status=0)

    def test_a_changed_byte(self):
        self.noticed(change_a_byte, "corrupted")
        self.noticed(change_a_byte, "corrupted", "--in-flight", 8)
        self.noticed(change_a_byte, "corrupted", "--deflate", compression="deflate")

    def test_a_lost_message(self):
        self.noticed(leave_it_out, "missing")
        self.noticed(leave_it_out, "out-of-order", "--in-flight", 8)

    def test_a_message_that_comes_twice(self):
        self.noticed(send_it_twice, "out-of-order", "--in-flight", 8)

    def test_swapped_messages(self):
        self.noticed(swap_with_the_next, "out-of-order", "--in-flight", 8)

    def test_a_message_of_another_size(self):
        self.noticed(cut_it_short, "corrupted")
        self.noticed(make_it_longer, "corrupted")

    def test_a_message_of_another_kind(self):
        self.noticed(make_it_text, "protocol")

    def test_a_closed_connection(self):
        self.noticed(close, "closed")

    def test_messages_that_nobody_asked_for(self):
        # A run sends what the one before it sent: its answers are known beforehand.
        received = []

        async def prophet(peer):
            with contextlib.suppress(websockets.ConnectionClosed):
                for message in list(received):
                    await peer.send(message)
                async for message in peer:
                    received.append(message)
                    await peer.send(message)
        with BrokenServer(prophet) as server:
            self.load(server.port, "--connections", 1, status=0)
            error = self.load(server.port, "--connections", 1)["error"]
        self.assertEqual(error["kind"], "unexpected")

    def test_a_receiver_of_a_broadcast_that_gets_nothing(self):
        with BrokenServer(echo_with(nothing_wrong)) as server:
            error = self.load(server.port, "--mode", "broadcast", "--connections", 2)["error"]
        self.assertEqual(error["kind"], "missing")

    def test_a_pause_is_latency_of_all_that_was_due_meanwhile(self):
        # Not only of those that were under way when it began: at a fixed rate a third of all were due
        # in it, with latencies that are evenly distributed up to its length.
        with BrokenServer(echo_with(pause_everything)) as server:
            done = run(program("ws-load"), "--port", server.port, "--connections", 1, "--rate", 1000,
                       "--warm-up", 0, "--seconds", 3 * PAUSE_S)
        self.assertGreater(json.loads(done.text)["latency_us"]["90"], PAUSE_S / 3 * 1e6)

    def test_an_upgrade_that_is_refused(self):
        async def refuse(*_):
            return 403, [], b"no"
        self.noticed(nothing_wrong, "refused", process_request=refuse)

    def test_permessage_deflate_that_is_refused(self):
        self.noticed(nothing_wrong, "refused", "--deflate")

    def test_a_port_where_nobody_listens(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            error = self.load(taken.getsockname()[1])["error"]
        self.assertEqual(error["kind"], "refused")

    def test_a_server_that_never_answers(self):
        with socket.socket() as silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen(20)
            error = self.load(silent.getsockname()[1])["error"]
        self.assertEqual(error["kind"], "refused")


if __name__ == "__main__":
    unittest.main()
