"""Python's websockets: an echo of 100 MB through each kind of connection arrives intact.

    LWS_PROTON_ECHO_MB     how much instead of 100; less where a sanitizer makes it slow
    LWS_PROTON_ECHO_SEED   what is sent, to repeat a run; random without it
"""

import asyncio
import math
import os
import random
import ssl
import unittest

import websockets

from judge import Server, Site

VOLUME = int(os.environ.get("LWS_PROTON_ECHO_MB", 100)) * 1_000_000
SEED = int(os.environ.get("LWS_PROTON_ECHO_SEED", random.randrange(1 << 32)))
LARGEST = 1 << 20
MOST_FRAGMENTS = 500
WORDS = ("lorem", "ipsum", "dolor", "sit", "amet", "£", "žluťoučký", "日本語", "🜁", "\n")


class Messages:
    """The same messages from the same seed: the receiver makes what it expects once more."""

    _pools = random.Random(SEED)
    _binary = _pools.randbytes(2 * LARGEST)  # does not compress
    _text = " ".join(_pools.choices(WORDS, k=LARGEST // 2))  # does

    def __init__(self):
        self._random = random.Random(SEED)

    def __iter__(self):
        sent = 0
        while sent < VOLUME:
            size = self._size(LARGEST)
            if self._random.random() < 0.5:
                message = self._part(self._binary, size)
            else:
                message = self._part(self._text, size)
            # Always drawn, so that both sides draw the same.
            yield message, self._size(LARGEST)
            sent += size

    def _size(self, most):
        """Small ones as well as large ones, and none."""
        if self._random.random() < 0.5:
            return self._random.randrange(most + 1)
        return int(math.exp(self._random.uniform(0, math.log(most)))) - 1

    def _part(self, pool, size):
        start = self._random.randrange(len(pool) - size)
        return pool[start:start + size]


async def fragments(message, fragment):
    fragment = max(1, fragment, len(message) // MOST_FRAGMENTS)
    for at in range(0, max(1, len(message)), fragment):
        yield message[at:at + fragment]


async def echo(url, compression, **options):
    async with websockets.connect(url, max_size=None, compression=compression,
                                  **options) as connection:
        agreed = getattr(connection, "protocol", connection).extensions
        if len(agreed) != (1 if compression else 0):
            raise AssertionError(f"extensions {agreed} with compression {compression}")

        async def send():
            for message, fragment in Messages():
                if fragment % 4:
                    await connection.send(fragments(message, fragment))
                else:
                    await connection.send(message)

        async def receive():
            for number, (message, _) in enumerate(Messages()):
                if await connection.recv() != message:
                    raise AssertionError(f"message {number} of seed {SEED} came back changed")

        await asyncio.gather(send(), receive())
    if connection.close_code != 1000:
        raise AssertionError(f"closed with {connection.close_code}")


class Websockets(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.site = Site()
        cls.addClassCleanup(cls.site.close)
        cls.certificate = ("--tls-cert", cls.site.localhost / "cert.pem",
                           "--tls-key", cls.site.localhost / "key.pem")
        cls.trust = ssl.create_default_context(cafile=cls.site.authority.cert)
        print(f"seed {SEED}", flush=True)

    def test_an_echo_over_ws(self):
        with Server("lws-proton-echo") as server:
            asyncio.run(echo(server.url, compression=None))

    def test_an_echo_over_wss(self):
        with Server("lws-proton-echo", *self.certificate) as server:
            asyncio.run(echo(server.url, ssl=self.trust, compression=None))

    def test_a_compressed_echo_over_ws(self):
        with Server("lws-proton-echo") as server:
            asyncio.run(echo(server.url, compression="deflate"))

    def test_a_compressed_echo_over_wss(self):
        with Server("lws-proton-echo", *self.certificate) as server:
            asyncio.run(echo(server.url, ssl=self.trust, compression="deflate"))


if __name__ == "__main__":
    unittest.main()
