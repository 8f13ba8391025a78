# SPDX-License-Identifier: MIT
"""What the tests at the edge share: peers made of bytes, and what a process holds."""

import os
import resource
import select
import socket
import ssl
import struct
import sys
import tempfile
import threading
import time
import unittest
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "judges"))

from judge import PATIENCE_S, SANITIZED, Server, program, until  # noqa: E402,F401

import amqp_frames  # noqa: E402

KIB, MIB = 1024, 1024 * 1024


def security(attack, bound, peer_gets, figures):
    """A row of the table in docs/security.md, of a test that has passed."""
    print(f"security: {attack} | {bound} | {peer_gets} | {figures}", flush=True)


def memory(pid):
    """Resident bytes that are the process's own."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * KIB
    raise AssertionError("no RssAnon")


class Watch:
    """The most memory of a process, while it is watched."""

    def __init__(self, pid):
        self.pid, self.most, self._ended = pid, memory(pid), threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()

    def _run(self):
        while not self._ended.wait(0.02):
            self.most = max(self.most, memory(self.pid))


class LiveHeap:
    """What a server that is started inside holds of malloc(), to the byte: test/support/live_heap.c.
    Nothing with a sanitizer, which has a malloc() of its own."""

    def __enter__(self):
        self._file = tempfile.NamedTemporaryFile(prefix="lws-proton-live-heap-")
        if not SANITIZED:
            os.environ.update(LD_PRELOAD=os.environ["LWS_PROTON_LIVE_HEAP"], LIVE_HEAP=self._file.name)
        return self

    def __exit__(self, *_):
        for name in ("LD_PRELOAD", "LIVE_HEAP"):
            os.environ.pop(name, None)
        self._file.close()

    def bytes(self):
        return 0 if SANITIZED else struct.unpack("@l", Path(self._file.name).read_bytes())[0]


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def processor_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def processor_seconds_of_threads(pid):
    """To the nanosecond; not of threads that have ended."""
    return sum(int((task / "schedstat").read_text().split()[0])
               for task in Path(f"/proc/{pid}/task").iterdir()) / 1e9


def allow_descriptors(count):
    """Of this process: its soft limit."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE,
                       (count if hard == resource.RLIM_INFINITY else min(count, hard), hard))


class AtOnce(unittest.TestCase):
    """Tests that wait more than they work: all of a class run at once, each in a thread. A module whose
    setUpModule() calls begin() has them run beside its other tests, those whose classes come before."""

    def __init_subclass__(cls):
        cls.bodies = {name: body for name, body in vars(cls).items() if name.startswith("test_")}
        for name in cls.bodies:
            setattr(cls, name, lambda self, name=name: type(self).running[name].result())

    running = None

    @classmethod
    def begin(cls):
        cls.threads = ThreadPoolExecutor(len(cls.bodies))
        cls.running = {name: cls.threads.submit(body, cls(name)) for name, body in cls.bodies.items()}

    @classmethod
    def setUpClass(cls):
        if not cls.running:
            cls.begin()

    @classmethod
    def tearDownClass(cls):
        cls.threads.shutdown()


class Peer:
    """A TCP connection that sends the bytes it is told to, and reads only when it is told to."""

    def __init__(self, port, receive_buffer=None, source=None, host="127.0.0.1"):
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source:
            self.socket.bind((source, 0))
        self.socket.settimeout(PATIENCE_S)
        try:
            self.socket.connect((host, int(port)))
        except OSError:
            self.socket.close()
            raise
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def end_output(self):
        self.socket.shutdown(socket.SHUT_WR)

    def send(self, data):
        self._send_raw(data)

    def send_as_far_as_it_goes(self, data, patience=1.0):
        """How many bytes the other side took before it took no more for `patience` seconds; a
        connection that it ended counts as that."""
        sent = 0
        data = memoryview(self._framed(data))
        self.socket.setblocking(False)
        try:
            while sent < len(data):
                if not select.select([], [self.socket], [], patience)[1]:
                    break
                sent += self.socket.send(data[sent:sent + 256 * KIB])
        except OSError:
            pass
        finally:
            self.socket.settimeout(PATIENCE_S)
        return sent

    @staticmethod
    def flood(peers, data, patience=0.2):
        """All send this at once, until none of them could send for `patience` seconds: how many bytes
        the other sides took."""
        data = memoryview(data)
        sent = {peer.socket: 0 for peer in peers}
        left = list(sent)
        for one in left:
            one.setblocking(False)
        while writable := select.select([], left, [], patience)[1]:
            for one in writable:
                try:
                    sent[one] += one.send(data[sent[one]:sent[one] + 256 * KIB])
                except (BlockingIOError, ssl.SSLWantWriteError):
                    continue
                except OSError:
                    left.remove(one)
                    continue
                if sent[one] == len(data):
                    left.remove(one)
        for one in sent:
            one.settimeout(PATIENCE_S)
        return sum(sent.values())

    def read_frames(self, *codes, patience=PATIENCE_S):
        """Frames, up to one of these codes; all up to the end of the connection if there is none."""
        frames = []
        deadline = time.monotonic() + patience
        while True:
            more, self.received = amqp_frames.split_frames(self.received)
            for i, (channel, code, data) in enumerate(more):
                frames.append((channel, code, data))
                if code in codes:
                    rest = b"".join(frame for _, _, frame in more[i + 1:])
                    self.received = rest + self.received
                    return frames
            self.socket.settimeout(max(0.01, deadline - time.monotonic()))
            data = self._receive()
            if not data:
                if codes:
                    raise AssertionError(f"the connection ended after {frames}")
                return frames
            self.received += data

    def wait_for_end(self, patience=PATIENCE_S):
        """Reads until the other side has ended the connection: the seconds that it took."""
        begun = time.monotonic()
        while True:
            self.socket.settimeout(max(0.01, begun + patience - time.monotonic()))
            try:
                if not self._receive_raw():
                    break
            except ConnectionResetError:
                break
        return time.monotonic() - begun

    def open_amqp(self, **options):
        self.send(amqp_frames.opening(**options))
        self.read_frames(amqp_frames.OPEN)
        return self

    def _framed(self, data):
        return data

    def _send_raw(self, data):
        self.socket.sendall(data)

    def _receive_raw(self):
        return self.socket.recv(64 * KIB)

    def _receive(self):
        return self._receive_raw()


class WebSocketPeer(Peer):
    """The same over a WebSocket: each send is one binary message, masked with zeros."""

    def __init__(self, port, subprotocol="amqp", headers=(), upgrade=True, **options):
        super().__init__(port, **options)
        self._raw = b""
        self._pending = b""
        self.close_code = None
        self.close_reason = ""
        if upgrade:
            self.status = self.upgrade(subprotocol, headers)

    def upgrade(self, subprotocol="amqp", headers=(), host=None):
        """The status of the answer."""
        port = self.socket.getpeername()[1]
        lines = ["GET / HTTP/1.1", f"Host: {host or f'localhost:{port}'}", "Upgrade: websocket",
                 "Connection: Upgrade", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
                 "Sec-WebSocket-Version: 13"]
        if subprotocol:
            lines.append(f"Sec-WebSocket-Protocol: {subprotocol}")
        self._send_raw("\r\n".join([*lines, *headers, "", ""]).encode())
        while b"\r\n\r\n" not in self._raw:
            data = self._receive_raw()
            if not data:
                break
            self._raw += data
        head, _, self._raw = self._raw.partition(b"\r\n\r\n")
        return int(head.split()[1]) if head else 0

    def send(self, data):
        self._send_raw(self._framed(data))

    def _framed(self, data):
        # Pieces of 16 KiB, as of a client that sends what it has.
        return b"".join(self._message(data[at:at + 16 * KIB]) for at in range(0, len(data), 16 * KIB))

    @staticmethod
    def _message(data, opcode=2):
        if len(data) < 126:
            length = bytes([0x80 | len(data)])
        else:
            length = bytes([0x80 | 126]) + struct.pack(">H", len(data))
        return bytes([0x80 | opcode]) + length + b"\0\0\0\0" + data

    def send_message(self, opcode, data):
        self._send_raw(self._message(data, opcode))

    def _receive(self):
        """The payload of binary messages; empty at a close or the end."""
        while True:
            payload = self._take_message()
            if payload is not None:
                return payload
            data = self._receive_raw()
            if not data:
                return b""
            self._raw += data

    def _take_message(self):
        raw = self._raw
        if len(raw) < 2:
            return None
        size, at = raw[1] & 0x7f, 2
        if size == 126:
            size, at = (struct.unpack(">H", raw[2:4])[0], 4) if len(raw) >= 4 else (1 << 62, 4)
        elif size == 127:
            size, at = (struct.unpack(">Q", raw[2:10])[0], 10) if len(raw) >= 10 else (1 << 62, 10)
        if len(raw) < at + size:
            return None
        payload, self._raw = raw[at:at + size], raw[at + size:]
        opcode = raw[0] & 0xf
        if opcode == 8:
            self.close_code = struct.unpack(">H", payload[:2])[0] if size >= 2 else None
            self.close_reason = payload[2:].decode(errors="replace")
            return b""
        return payload if opcode in (0, 2) and payload else self._take_message()
