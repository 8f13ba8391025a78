"""What the tests with foreign judges share: servers, certificates and running a judge.

    LWS_PROTON_PROGRAMS   directory of the programs under test
    LWS_PROTON_SANITIZED  set where they run under a sanitizer, and so are slower
"""

import hashlib
import os
import re
import select
import subprocess
import tempfile
import time
from pathlib import Path

PATIENCE_S = 60
SANITIZED = "LWS_PROTON_SANITIZED" in os.environ


def program(name):
    return str(Path(os.environ["LWS_PROTON_PROGRAMS"]) / name)


def run(*command, input=None, status=0, timeout=PATIENCE_S):
    """A judge's run to its end; `status` None: it may be any."""
    done = subprocess.run([str(part) for part in command], input=input, capture_output=True,
                          timeout=timeout)
    done.text = done.stdout.decode(errors="replace")
    done.log = done.stderr.decode(errors="replace")
    if status is not None and done.returncode != status:
        raise AssertionError(f"{command} ended with {done.returncode}:\n{done.text}\n{done.log}")
    return done


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


class Server:
    """A program under test. Left without an error it has to end as it should: with status 0, one
    line on stdout, and none in its log of level error but those that `may_log` matches. Its log may be
    a descriptor of the test's instead, `stderr`. It may have `descriptors`, if that is said."""

    def __init__(self, name, *arguments, ports=("--port", "0"), may_log=None, stderr=None,
                 descriptors=None):
        self.name = name
        self.may_log = may_log
        self._log = tempfile.TemporaryFile()
        limited = ["sh", "-c", f'ulimit -n {descriptors} && exec "$0" "$@"'] if descriptors else []
        self._child = subprocess.Popen(
            [*limited, program(name), *ports, *map(str, arguments)],
            stdout=subprocess.PIPE, stderr=self._log if stderr is None else stderr)
        if not select.select([self._child.stdout], [], [], PATIENCE_S)[0]:
            self._fail("is not ready")
        line = self._child.stdout.readline().decode()
        match = re.fullmatch(
            r"ready: ((\w+)://(?:localhost|[\d.]+|\[[\da-f:]+\]):(\d+)/)"
            r"(?: (?:amqp|http)://localhost:(\d+)/?)?\n", line)
        if not match:
            self._fail(f"said '{line}'")
        self.url, self.scheme, port, self.amqp_port = match.groups()
        # The gateway's is for its status.
        self.status_port = self.amqp_port
        self.port = int(port)

    def __enter__(self):
        return self

    def __exit__(self, error, *_):
        if error:
            status = self._child.poll()
            self._child.kill()
            self._child.communicate()
            ended = "" if status is None else f", which had ended with {status}"
            print(f"the log of {self.name}{ended}:\n{self.log()}")
        else:
            self.stop()
        self._child.stdout.close()
        self._log.close()

    @property
    def authority(self):
        return f"localhost:{self.port}"

    @property
    def pid(self):
        return self._child.pid

    def log(self):
        """Since it has started: without the line that says for how many connections it has room."""
        return self._all_of_log().split(" connections\n", 1)[-1]

    @property
    def room(self):
        return int(re.match(r"[\w-]+: room for (\d+) connections\n", self._all_of_log())[1])

    def _all_of_log(self):
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def wait(self):
        """Until it has ended, which something else has asked it to."""
        try:
            self._child.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._fail("does not end")

    def stop(self):
        self._child.terminate()
        try:
            rest, _ = self._child.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._fail("does not stop")
        if self._child.returncode != 0 or rest:
            self._fail(f"ended with {self._child.returncode} and '{rest.decode()}'")
        for line in self.log().splitlines():
            if " E: " in line and not (self.may_log and re.search(self.may_log, line)):
                self._fail(f"logged '{line}'")

    def _fail(self, what):
        self._child.kill()
        self._child.communicate()
        raise AssertionError(f"{self.name} {what}\n{self.log()}")


class Authority:
    """A certificate authority of our own, in a directory."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True)
        self._request(self.directory, "ca", "-x509", "-addext", "basicConstraints=critical,CA:TRUE")
        self.cert = self.directory / "cert.pem"

    def issue(self, name):
        """A directory with cert.pem and key.pem for the host or client `name`."""
        issued = self.directory / name
        issued.mkdir()
        self._request(issued, name, "-x509", "-CA", self.cert, "-CAkey", self.directory / "key.pem",
                      "-addext", "basicConstraints=critical,CA:FALSE",
                      "-addext", f"subjectAltName=DNS:{name}")
        return issued

    @staticmethod
    def _request(directory, name, *options):
        run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-days", "2", "-subj", f"/CN={name}", "-keyout", directory / "key.pem",
            "-out", directory / "cert.pem", *options)


class Site:
    """The directories that lws-judges-site serves and stores in, and certificates for it."""

    def __init__(self):
        self._scratch = tempfile.TemporaryDirectory()
        self.path = Path(self._scratch.name)
        self.root = self.path / "root"
        self.store = self.path / "store"
        self.root.mkdir()
        self.store.mkdir()
        (self.root / "index.html").write_text("<p>hello</p>\n")
        self.authority = Authority(self.path / "ca")
        self.localhost = self.authority.issue("localhost")

    def file(self, name, size):
        """A file of bytes that do not repeat, at /name."""
        path = self.root / name
        path.write_bytes(os.urandom(size))
        return path

    def serve(self, *arguments, tls=True, may_log=None):
        tls = ["--tls", self.localhost] if tls else []
        return Server("lws-judges-site", "--root", self.root, "--store", self.store, *tls,
                      *arguments, may_log=may_log)

    def close(self):
        self._scratch.cleanup()


def until(condition, what, patience=PATIENCE_S):
    """For what nothing announces: a state of another process."""
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"no {what} in {patience} s")
        time.sleep(0.02)
