# SPDX-License-Identifier: MIT
"""One measurement: a fresh server on its core, ws-load on the other."""

import json
import os
import resource
import select
import signal
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path

from contenders import backports_directory

PATIENCE_S = 30


class Failed(Exception):
    pass


class Bench:
    """Where the programs are and where they run. With one core they share it."""

    def __init__(self, build, certificate):
        self.programs = Path(build) / "bin"
        self.build = Path(build)
        self.certificate = Path(certificate)
        cores = sorted(os.sched_getaffinity(0))
        self.cores = set(cores)
        self.server_core = cores[0]
        self.client_core = cores[-1]

    def server_command(self, contender, load):
        command = [str(self.programs / contender.program), "--port", "0", *contender.arguments]
        if not contender.raw:
            command += load.server_arguments
        if load.tls:
            command += ["--tls-cert", str(self.certificate / "cert.pem"),
                        "--tls-key", str(self.certificate / "key.pem")]
        return command

    @contextmanager
    def server(self, contender, load, wrapper=()):
        """A running server: its process and its port. `wrapper` is a command that runs it."""
        cores = self.cores if load.all_cores else {self.server_core}
        descriptors = load.descriptors()

        def prepare():
            os.sched_setaffinity(0, cores)
            hard = max(descriptors, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
            resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, hard))

        with tempfile.TemporaryFile() as log:
            process = subprocess.Popen([*wrapper, *self.server_command(contender, load)],
                                       env=contender.environment(self.build), stderr=log,
                                       stdout=subprocess.PIPE, preexec_fn=prepare)
            try:
                yield process, self._port(process, contender, log)
            finally:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(PATIENCE_S)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
                process.stdout.close()

    @staticmethod
    def _port(process, contender, log):
        if select.select([process.stdout], [], [], PATIENCE_S)[0]:
            line = process.stdout.readline().decode()
            if line.startswith("ready: "):
                return int(line.rstrip("/\n").rsplit(":", 1)[1])
        log.seek(0)
        raise Failed(f"{contender.program} does not serve: {log.read().decode().strip()}")

    def load(self, contender, load, port, extra):
        """The object that ws-load prints."""
        command = [str(self.programs / "ws-load"), "--port", str(port), "--cpu",
                   str(self.client_core)]
        for option, value in {**load.arguments, **extra}.items():
            command += [f"--{option}"] if value is True else [f"--{option}", str(value)]
        command += ["--tls"] if load.tls else []
        command += ["--raw"] if contender.raw else []
        done = subprocess.run(command, capture_output=True)
        if not done.stdout:
            raise Failed(f"{' '.join(command)}: {done.stderr.decode().strip()}")
        result = json.loads(done.stdout)
        if not result["ok"]:
            error = result["error"]
            raise Failed(f"{contender.name} under {load.name}: {error['kind']}: {error['text']}")
        return result

    def measure(self, contender, load, seconds, warm_up, rate=None):
        extra = {"seconds": seconds, "warm-up": warm_up, **({"rate": rate} if rate else {})}
        with self.server(contender, load) as (process, port):
            result = self.load(contender, load, port, {**extra, "server-pid": process.pid})
            library = _mapped(process.pid, "libqpid-proton")
        if contender.backports != (library is not None and
                                   library.startswith(str(backports_directory(self.build)))):
            raise Failed(f"{contender.name} runs with {library}")
        return result


def _mapped(pid, name):
    """The file of a library that a process has loaded."""
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        path = line.split(maxsplit=5)[-1]
        if f"/{name}" in path:
            return path
    return None
