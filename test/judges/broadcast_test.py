"""Python's websockets at the echo program's --broadcast: who reads late gets everything, in order, and
the sender waits meanwhile.

    LWS_PROTON_BROADCAST   the program's name and arguments
"""

import asyncio
import os
import unittest
from pathlib import Path

import websockets

from judge import SANITIZED, Server

PROGRAM = os.environ.get("LWS_PROTON_BROADCAST", "lws-proton-echo").split()
SIZE = 8192
COUNT = 8000       # more than all the buffers between two programs hold
STALLED_S = 1      # without having sent anything
MOST_MIB = 40


def message(number):
    return number.to_bytes(4, "big") * (SIZE // 4)


def resident_mib(pid):
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE") / (1 << 20)


def connect(server):
    return websockets.connect(f"ws://localhost:{server.port}/", compression=None, max_size=None,
                              ping_interval=None)


async def receive_all(peer):
    for number in range(COUNT):
        if await peer.recv() != message(number):
            raise AssertionError(f"message {number} is another")


async def send_until_it_stalls(peer, numbers):
    """The send that waits; None: everything was sent."""
    for number in numbers:
        sending = asyncio.ensure_future(peer.send(message(number)))
        if not (await asyncio.wait([sending], timeout=STALLED_S))[0]:
            return sending
    return None


class Broadcast(unittest.IsolatedAsyncioTestCase):
    async def test_a_receiver_that_does_not_read_makes_the_sender_wait(self):
        with Server(*PROGRAM, "--broadcast") as server:
            async with connect(server) as sender, connect(server) as late:
                own = asyncio.ensure_future(receive_all(sender))
                numbers = iter(range(COUNT))
                waiting = await send_until_it_stalls(sender, numbers)
                self.assertIsNotNone(waiting)
                self.assertFalse(own.done())
                if not SANITIZED:
                    self.assertLess(resident_mib(server.pid), MOST_MIB)
                other = asyncio.ensure_future(receive_all(late))
                await waiting
                for number in numbers:
                    await sender.send(message(number))
                await asyncio.gather(own, other)

    async def test_a_receiver_that_goes_away_is_not_waited_for(self):
        with Server(*PROGRAM, "--broadcast") as server:
            async with connect(server) as sender:
                late = await connect(server)
                own = asyncio.ensure_future(receive_all(sender))
                numbers = iter(range(COUNT))
                waiting = await send_until_it_stalls(sender, numbers)
                self.assertIsNotNone(waiting)
                late.transport.abort()
                await waiting
                for number in numbers:
                    await sender.send(message(number))
                await own

    async def test_a_message_that_is_too_large_closes_its_sender_only(self):
        with Server(*PROGRAM, "--broadcast") as server:
            async with connect(server) as sender, connect(server) as other:
                await sender.send(b"x" * (64 * 1024 + 1))
                with self.assertRaises(websockets.ConnectionClosed) as closed:
                    await sender.recv()
                self.assertEqual(closed.exception.code, 1009)
                await other.send("hello")
                self.assertEqual(await other.recv(), "hello")

    async def test_fragments_are_one_message_for_all(self):
        with Server(*PROGRAM, "--broadcast") as server:
            async with connect(server) as sender, connect(server) as other:
                await sender.send(["a", "b" * 20000, "c"])
                for peer in (sender, other):
                    self.assertEqual(await peer.recv(), "a" + "b" * 20000 + "c")


if __name__ == "__main__":
    unittest.main()
