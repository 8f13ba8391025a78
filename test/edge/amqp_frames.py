# SPDX-License-Identifier: MIT
"""AMQP 1.0 as bytes: frames that no library would send, for peers that mean harm."""

import struct

HEADER = b"AMQP\x00\x01\x00\x00"
SASL_HEADER = b"AMQP\x03\x01\x00\x00"

# Described types: AMQP 1.0, parts 2, 3 and 5.
OPEN, BEGIN, ATTACH, FLOW, TRANSFER, DISPOSITION, DETACH, END, CLOSE = range(0x10, 0x19)
SASL_MECHANISMS, SASL_INIT, SASL_CHALLENGE, SASL_RESPONSE, SASL_OUTCOME = range(0x40, 0x45)
ERROR = 0x1d
RECEIVED, ACCEPTED, REJECTED, RELEASED = 0x23, 0x24, 0x25, 0x26
SOURCE, TARGET = 0x28, 0x29
DATA_SECTION = b"\x00\x53\x75"

# The role of who sends the frame.
SENDER, RECEIVER = False, True


class Symbol(str):
    pass


class Ubyte(int):
    pass


class Ushort(int):
    pass


class Encoded(bytes):
    """A value as it is to be sent."""


class Described:
    def __init__(self, code, *fields):
        self.code, self.fields = code, list(fields)


def encode(value):
    """A Python int is a uint, bytes are binary, a str is a string."""
    if value is None:
        return b"\x40"
    if isinstance(value, Encoded):
        return bytes(value)
    if isinstance(value, bool):
        return b"\x41" if value else b"\x42"
    if isinstance(value, Described):
        return b"\x00\x53" + bytes([value.code]) + encode(value.fields)
    if isinstance(value, Ubyte):
        return b"\x50" + bytes([value])
    if isinstance(value, Ushort):
        return b"\x60" + struct.pack(">H", value)
    if isinstance(value, int):
        return b"\x70" + struct.pack(">I", value)
    if isinstance(value, bytes):
        return b"\xb0" + struct.pack(">I", len(value)) + value
    if isinstance(value, str):
        text = value.encode()
        kind = b"\xb3" if isinstance(value, Symbol) else b"\xb1"
        return kind + struct.pack(">I", len(text)) + text
    if isinstance(value, list):
        while value and value[-1] is None:
            value = value[:-1]
        if not value:
            return b"\x45"
        items = b"".join(map(encode, value))
        return b"\xd0" + struct.pack(">II", len(items) + 4, len(value)) + items
    raise TypeError(type(value))


def frame(channel, code, *fields, payload=b"", sasl=False):
    body = encode(Described(code, *fields)) + payload
    return struct.pack(">IBBH", 8 + len(body), 2, int(sasl), channel) + body


def open_frame(container="peer", idle_ms=None, max_frame=None, channel_max=None):
    return frame(0, OPEN, container, None, max_frame,
                 None if channel_max is None else Ushort(channel_max), idle_ms)


def begin(channel, incoming_window=2048, outgoing_window=2048, next_outgoing_id=0):
    return frame(channel, BEGIN, None, next_outgoing_id, incoming_window, outgoing_window)


def end(channel):
    return frame(channel, END)


def attach(channel, handle, role, address, name=None):
    """The peer sends (SENDER) to the node `address`, or receives (RECEIVER) from it."""
    count = 0 if role == SENDER else None
    return frame(channel, ATTACH, name or f"link-{channel}-{handle}", handle, role, None, None,
                 Described(SOURCE, address), Described(TARGET, address), None, None, count)


def detach(channel, handle, closed=True):
    return frame(channel, DETACH, handle, closed)


def transfer(channel, handle, number, body=b"x", *, more=False, settled=False, tag=None):
    payload = DATA_SECTION + encode(body)
    return frame(channel, TRANSFER, handle, number, tag or struct.pack(">I", number), 0, settled,
                 more, payload=payload)


def flow(channel, handle=None, credit=None, *, delivery_count=0, incoming_window=2048, echo=False,
         drain=False, next_incoming_id=0, next_outgoing_id=0):
    if handle is None:
        return frame(channel, FLOW, next_incoming_id, incoming_window, next_outgoing_id, 2048, None,
                     None, None, None, None, echo or None)
    return frame(channel, FLOW, next_incoming_id, incoming_window, next_outgoing_id, 2048, handle,
                 delivery_count, credit, None, drain, echo)


def disposition(channel, role, first, last=None, state=ACCEPTED, settled=True):
    return frame(channel, DISPOSITION, role, first, last, settled, Described(state))


def close():
    return frame(0, CLOSE)


def sasl_anonymous():
    """What a client sends: the header, and its choice before it has heard what there is."""
    return SASL_HEADER + frame(0, SASL_INIT, Symbol("ANONYMOUS"), sasl=True)


def opening(**options):
    """What a client sends up to its open."""
    return sasl_anonymous() + HEADER + open_frame(**options)


def split_frames(data):
    """The whole frames at the beginning, as (channel, code, frame), and what is left."""
    frames = []
    while len(data) >= 8:
        if data[:4] == b"AMQP":
            frames.append((0, "header", data[:8]))
            data = data[8:]
            continue
        size, offset, _, channel = struct.unpack(">IBBH", data[:8])
        if len(data) < size:
            break
        body = data[4 * offset:size]
        # An empty frame is a heartbeat.
        code = body[2] if len(body) > 2 and body[1] == 0x53 else None
        frames.append((channel, code, data[:size]))
        data = data[size:]
    return frames, data
