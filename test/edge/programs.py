# SPDX-License-Identifier: MIT
"""The programs with AMQP: how each is started, and which of its ports speaks what."""

from edge import Server


class Program:
    def __init__(self, name, ports, *, websocket, open_option, open_unit, idle_option=None,
                 idle_unit=None):
        self.name, self._ports = name, ports
        # The subprotocol of its WebSockets, and whether that is AMQP's.
        self.websocket = websocket
        self._open, self._idle = (open_option, open_unit), (idle_option, idle_unit)

    @property
    def amqp_over_websocket(self):
        return self.websocket == "amqp"

    @property
    def has_idle_option(self):
        return bool(self._idle[0])

    def start(self, *arguments, open_s=None, idle_s=None):
        """Deadlines in seconds; a fraction is rounded up to what the program's unit allows."""
        for (option, unit), seconds in ((self._open, open_s), (self._idle, idle_s)):
            if option and seconds:
                arguments += (option, max(1, round(seconds * unit)))
        server = Server(self.name, *arguments, ports=self._ports)
        # Where both are on one port.
        server.amqp_port = server.amqp_port or server.port
        return server


PROGRAMS = [
    Program("broker", ("--amqp-port", "0", "--http-port", "0"), websocket="amqp",
            open_option="--open-seconds", open_unit=1, idle_option="--idle-seconds", idle_unit=1),
    Program("lws-proton-amqp-echo", ("--port", "0", "--amqp-port", "0"), websocket="amqp",
            open_option="--open-ms", open_unit=1000, idle_option="--idle-ms", idle_unit=1000),
    Program("lws-proton-amqp-and-mirror", ("--port", "0", "--http-port", "0"),
            websocket="lws-mirror-protocol",
            open_option="--open-seconds", open_unit=1, idle_option="--idle-seconds", idle_unit=1),
    Program("lws-proton-one-port", ("--port", "0"), websocket="echo",
            open_option="--timeout-secs", open_unit=1),
]
