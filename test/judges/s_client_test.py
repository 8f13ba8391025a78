"""TLS as openssl s_client sees it, and Python's ssl module where the bytes have to be chosen."""

import re
import socket
import ssl
import subprocess
import unittest

from judge import PATIENCE_S, Site, run

VERSIONS = {"TLSv1.2": "-tls1_2", "TLSv1.3": "-tls1_3"}
REQUEST = b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n"
HELLO = "<p>hello</p>"
RECORD = 16_384  # the most plaintext that one record holds


def each_version(test):
    def tests(self):
        for version, option in VERSIONS.items():
            with self.subTest(version=version):
                test(self, version, option)
    return tests


class Tls(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.site = Site()
        cls.addClassCleanup(cls.site.close)
        cls.other = cls.site.authority.issue("other.example")
        cls.server = cls.enterClassContext(cls.site.serve("--tls-too", f"other.example={cls.other}"))

    def s_client(self, *options, server=None, input=REQUEST, status=0):
        """HTTP/1.0: the server ends the connection, and s_client with it."""
        server = server or self.server
        return run("openssl", "s_client", "-connect", f"127.0.0.1:{server.port}", "-ign_eof",
                   "-CAfile", self.site.authority.cert, *options, input=input, status=status)

    def is_well(self, server=None):
        self.assertIn(HELLO, self.s_client("-quiet", server=server).text)

    def connect(self, server=None):
        return socket.create_connection(("127.0.0.1", (server or self.server).port), PATIENCE_S)

    def tls(self, version=ssl.TLSVersion.TLSv1_3):
        context = ssl.create_default_context(cafile=self.site.authority.cert)
        context.minimum_version = context.maximum_version = version
        return context

    # Handshakes

    @each_version
    def test_a_version_is_spoken(self, version, option):
        said = self.s_client(option, "-verify_return_error", "-verify_hostname", "localhost",
                             "-servername", "localhost").text
        self.assertRegex(said, rf"New, {version}, Cipher is")
        self.assertIn("Verification: OK", said)
        self.assertIn(HELLO, said)

    def test_an_old_version_is_refused(self):
        done = self.s_client("-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0", status=1)
        self.assertRegex(done.log, r"alert protocol version|alert internal error")
        self.is_well()

    @each_version
    def test_alpn_chooses_the_protocol(self, _, option):
        for offer, chosen in (("h2,http/1.1", "ALPN protocol: h2"),
                              ("http/1.1", "ALPN protocol: http/1.1"),
                              ("nothing-we-know", "No ALPN negotiated")):
            # Without a request: what is spoken after the handshake is not the matter.
            done = run("openssl", "s_client", "-connect", f"127.0.0.1:{self.server.port}", option,
                       "-alpn", offer, input=b"Q\n")
            self.assertIn(chosen, done.text)

    @each_version
    def test_the_server_name_chooses_the_certificate(self, _, option):
        for asked, given in (("localhost", "localhost"), ("other.example", "other.example"),
                             ("unknown.example", "localhost")):
            said = self.s_client(option, "-servername", asked).text
            self.assertRegex(said, rf"subject=CN = {re.escape(given)}\n")
            self.assertIn(HELLO, said)

    @each_version
    def test_a_client_certificate_is_required(self, _, option):
        client = self.site.authority.issue(f"client{option}")
        stranger = self.site.path / f"stranger{option}"
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
            "-nodes", "-days", "2", "-subj", "/CN=stranger", "-keyout", stranger, "-out", stranger)
        with self.site.serve("--client-ca", self.site.authority.cert) as server:
            refused = self.s_client(option, server=server, status=None)
            self.assertRegex(refused.log, "alert certificate required|alert handshake failure")
            self.assertNotIn(HELLO, refused.text)
            refused = self.s_client(option, "-cert", stranger, "-key", stranger, server=server,
                                    status=None)
            self.assertRegex(refused.log, "alert unknown ca|alert handshake failure|"
                                          "alert certificate unknown|alert bad certificate")
            self.assertNotIn(HELLO, refused.text)
            accepted = self.s_client(option, "-cert", client / "cert.pem", "-key",
                                     client / "key.pem", server=server)
            self.assertIn(HELLO, accepted.text)

    def test_a_handshake_byte_by_byte_succeeds(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with self.subTest(version=version), self.connect() as raw:
                raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                theirs, ours = ssl.MemoryBIO(), ssl.MemoryBIO()
                session = self.tls(version).wrap_bio(theirs, ours, server_hostname="localhost")

                def exchange(step):
                    while True:
                        try:
                            result = step()
                        except ssl.SSLWantReadError:
                            result = None
                        for byte in ours.read():
                            raw.sendall(bytes([byte]))
                        if result is not None:
                            return result
                        theirs.write(raw.recv(7))

                exchange(lambda: session.do_handshake() or True)
                exchange(lambda: session.write(REQUEST))
                answer = b""
                while HELLO.encode() not in answer:
                    answer += exchange(lambda: session.read(1000))

    def test_a_handshake_that_never_ends_is_timed_out(self):
        with self.site.serve("--timeout-secs", 1) as server:
            silent = self.connect(server)
            begun = self.connect(server)
            begun.sendall(bytes.fromhex("16030100c8010000c40303"))
            self.is_well(server)
            for waiting in (silent, begun):
                with waiting:
                    self.assertEqual(waiting.recv(100), b"")

    # Sessions

    @each_version
    def test_a_session_is_resumed(self, version, option):
        for ticket in ((), ("-no_ticket",)):
            with self.subTest(ticket=ticket):
                session = self.site.path / "session"
                session.unlink(missing_ok=True)
                first = self.s_client(option, *ticket, "-sess_out", session)
                self.assertRegex(first.text, rf"New, {version}")
                for _ in range(2):
                    again = self.s_client(option, *ticket, "-sess_in", session)
                    self.assertRegex(again.text, rf"Reused, {version}")
                    self.assertIn(HELLO, again.text)

    def test_early_data_is_rejected_and_the_request_served(self):
        session = self.site.path / "early-session"
        early = self.site.path / "early"
        early.write_bytes(b"GET /early HTTP/1.0\r\n\r\n")
        self.s_client("-tls1_3", "-sess_out", session)
        done = self.s_client("-tls1_3", "-sess_in", session, "-early_data", early, status=None)
        self.assertRegex(done.text, "Early data was (rejected|not sent)")
        self.assertIn(HELLO, done.text)

    def test_a_renegotiation_is_refused(self):
        client = subprocess.Popen(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{self.server.port}", "-tls1_2", "-msg"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        client.stdin.write(b"R\n")
        client.stdin.flush()
        said = client.stdout.read().decode(errors="replace")  # to its end, with stdin still open
        client.stdin.close()
        client.stdout.close()
        self.assertEqual(client.wait(), 1)
        self.assertIn("RENEGOTIATING", said)
        self.assertIn("<<< TLS 1.2, Alert [length 0002], warning no_renegotiation", said)
        self.is_well()

    # The end

    @each_version
    def test_the_server_ends_with_close_notify(self, version, option):
        said = self.s_client(option, "-msg").text
        self.assertRegex(said, r"<<< TLS 1\.[23], Alert \[length 0002\], warning close_notify")

    def test_close_notify_is_answered(self):
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with self.subTest(version=version):
                session = self.tls(version).wrap_socket(self.connect(), server_hostname="localhost")
                session.unwrap().close()  # raises unless the server's arrives before its end

    # Records

    def test_a_record_is_taken_to_its_end(self):
        """lws reads it in pieces; OpenSSL holds the rest, and the network has no more to say."""
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            with self.subTest(version=version):
                with self.tls(version).wrap_socket(self.connect(),
                                                   server_hostname="localhost") as session:
                    # Both in one record, several times over one connection.
                    for _ in range(3):
                        head = b"POST /body HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
                        length = RECORD - len(head % RECORD)
                        session.sendall(head % length + b"x" * length)
                        answer = b""
                        while not answer.endswith(b"\r\n\r\n%d\n" % length):
                            more = session.recv(1000)
                            self.assertNotEqual(more, b"", f"no answer but {answer}")
                            answer += more

    def test_garbage_is_refused(self):
        garbage = {
            "no record": b"\x01" * 100,
            "a record too large": bytes.fromhex("160301ffff") + bytes(70_000),
            "an empty handshake": bytes.fromhex("1603010000") * 40,
            "application data first": bytes.fromhex("1703030020") + bytes(32),
            "an alert": bytes.fromhex("15030300020228"),
        }
        for what, octets in garbage.items():
            with self.subTest(what), self.connect() as raw:
                raw.sendall(octets)
                try:
                    while raw.recv(1000):  # an alert
                        pass
                except ConnectionResetError:
                    pass
        self.is_well()

    def test_garbage_in_a_session_is_refused(self):
        with self.connect() as raw:
            theirs, ours = ssl.MemoryBIO(), ssl.MemoryBIO()
            session = self.tls().wrap_bio(theirs, ours, server_hostname="localhost")
            done = False
            while not done:
                try:
                    session.do_handshake()
                    done = True
                except ssl.SSLWantReadError:
                    pass
                raw.sendall(ours.read())
                if not done:
                    theirs.write(raw.recv(RECORD))
            raw.sendall(bytes.fromhex("1703030040") + bytes(64))
            while received := raw.recv(RECORD):
                theirs.write(received)
            with self.assertRaisesRegex(ssl.SSLError, "BAD_RECORD_MAC"):
                session.read(1)
        self.is_well()

    # Plain HTTP on the port of TLS

    def plain_answer(self, *arguments):
        with self.site.serve(*arguments) as server, self.connect(server) as raw:
            raw.sendall(REQUEST)
            answer = b""
            while more := raw.recv(1000):
                answer += more
            return answer.decode(errors="replace"), server

    def test_plain_http_is_not_answered(self):
        answer, _ = self.plain_answer()
        self.assertNotIn("HTTP", answer)

    def test_plain_http_is_redirected(self):
        answer, _ = self.plain_answer("--redirect-to-https")
        self.assertRegex(answer, r"^HTTP/1\.\d 301 ")
        self.assertRegex(answer, r"\r\nlocation: https://localhost[/:]")

    def test_plain_http_is_served(self):
        answer, _ = self.plain_answer("--http-too")
        self.assertRegex(answer, r"^HTTP/1\.\d 200 ")
        self.assertIn(HELLO, answer)


if __name__ == "__main__":
    unittest.main()
