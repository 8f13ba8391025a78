"""curl against the site: HTTP/1.1 and HTTP/2, over TLS 1.2, TLS 1.3 and none."""

import functools
import json
import subprocess
import unittest

from judge import Site, run, sha256

HTTP1 = "--http1.1"
HTTP2 = "--http2"
TLS12 = ("--tlsv1.2", "--tls-max", "1.2")
TLS13 = ("--tlsv1.3",)
VERSION = {HTTP1: "1.1", HTTP2: "2"}
LARGE = 20_000_000


def over(ways):
    """A test for each way to reach the site: the server, curl's options and the HTTP version."""
    def decorate(test):
        @functools.wraps(test)
        def tests(self):
            for name, options, version in ways:
                with self.subTest(server=name, options=options):
                    test(self, getattr(self, name), options, version)
        return tests
    return decorate


def tls_ways():
    return [("tls", (http, *tls), VERSION[http]) for http in (HTTP1, HTTP2) for tls in (TLS12, TLS13)]


H2C = ("h2c", ("--http2-prior-knowledge",), "2")
each_way = over([("plain", (HTTP1,), "1.1"), H2C, *tls_ways()])
# curl 7.88 cannot use a connection again that it made with prior knowledge.
each_way_but_h2c = over([("plain", (HTTP1,), "1.1"), *tls_ways()])
each_tls_way = over(tls_ways())


class Curl(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.site = Site()
        cls.addClassCleanup(cls.site.close)
        cls.large = cls.site.file("large", LARGE)
        login = cls.site.path / "login"
        login.write_text("ann:let me in\n")
        cls.tls = cls.enterClassContext(cls.site.serve(
            "--login", login, may_log="basic auth lookup failed"))
        cls.plain = cls.enterClassContext(cls.site.serve(tls=False))
        cls.h2c = cls.enterClassContext(cls.site.serve("--h2c", tls=False))

    def curl(self, *arguments, **how):
        return run("curl", "--silent", "--show-error", "--cacert", self.site.authority.cert,
                   *arguments, **how)

    def fetch(self, *arguments):
        """What curl says of one transfer, and its body."""
        body = self.site.path / "fetched"
        body.unlink(missing_ok=True)
        done = self.curl("--output", body, "--write-out", "%{json}", *arguments)
        return json.loads(done.text), body.read_bytes() if body.exists() else b""

    @each_way
    def test_a_large_file_is_intact(self, server, options, version):
        said, _ = self.fetch(*options, server.url + "large")
        self.assertEqual((said["http_code"], said["http_version"]), (200, version))
        self.assertEqual(sha256(self.site.path / "fetched"), sha256(self.large))

    @each_way
    def test_a_slow_reader_gets_it_intact(self, server, options, _):
        part = self.site.path / "fetched"
        self.curl(*options, "--limit-rate", "2M", "--range", "0-3999999", "--output", part,
                  server.url + "large")
        self.assertEqual(part.read_bytes(), self.large.read_bytes()[:4_000_000])

    def test_the_alpn_protocol_is_what_the_client_prefers(self):
        said, _ = self.fetch(HTTP2, self.tls.url)
        self.assertEqual(said["http_version"], "2")
        said, _ = self.fetch("--no-alpn", HTTP2, self.tls.url)
        self.assertEqual(said["http_version"], "1.1")

    @each_way
    def test_a_range_is_just_that_part(self, server, options, _):
        content = self.large.read_bytes()
        for first, last in ((0, 0), (7, 70_000), (LARGE - 5, LARGE - 1)):
            said, body = self.fetch(*options, "--range", f"{first}-{last}", server.url + "large")
            self.assertEqual(said["http_code"], 206)
            self.assertEqual(body, content[first:last + 1])

    @each_way
    def test_head_is_answered_without_a_body(self, server, options, version):
        head = self.curl(*options, "--head", server.url + "large").text.lower()
        self.assertIn("content-type: application/octet-stream", head)
        if version == "1.1":  # lws gives no length over HTTP/2, where it is not needed
            self.assertIn(f"content-length: {LARGE}", head)

    @each_way
    def test_a_body_arrives_intact(self, server, options, _):
        sent = self.site.path / "sent"
        # one byte, about lws's buffer, about a TLS record, large
        for size in (1, 4096, 4097, 16_384, 16_385, 3_000_000):
            sent.write_bytes(self.large.read_bytes()[:size])
            _, answer = self.fetch(*options, "--data-binary", f"@{sent}", server.url + "body")
            self.assertEqual(answer, b"%d\n" % size)
            self.assertEqual(sha256(self.site.store / "body"), sha256(sent))

    @each_way
    def test_an_uploaded_file_is_intact(self, server, options, _):
        _, answer = self.fetch(*options, "--form", "text=two words", "--form",
                               f"file=@{self.large}", server.url + "upload")
        self.assertEqual(answer, b"text 'two words' file %d\n" % LARGE)
        self.assertEqual(sha256(self.site.store / "uploaded"), sha256(self.large))

    @each_way_but_h2c
    def test_one_connection_serves_many_requests(self, server, options, _):
        done = self.curl(*options, "--write-out", "%{num_connects} ", "--output", "/dev/null",
                         f"{server.url}?[1-20]")
        self.assertEqual(done.text.split(), ["1"] + ["0"] * 19)

    @each_way_but_h2c
    def test_many_requests_at_once_are_all_answered(self, server, options, _):
        done = self.curl(*options, "--parallel", "--parallel-max", "20",
                         "--write-out", "%{http_code}\n", "--output", "/dev/null",
                         f"{server.url}?[1-100]")
        self.assertEqual(done.text.split(), ["200"] * 100)

    @each_way
    def test_server_sent_events_come_one_by_one(self, server, options, _):
        _, events = self.fetch(*options, server.url + "events")
        expected = "".join(f"id: {n}\ndata: event {n}\n\n" for n in range(20))
        self.assertEqual(events.decode(), expected)

    @each_way
    def test_a_long_poll_is_answered_when_there_is_something_to_tell(self, server, options, _):
        polls = [subprocess.Popen(["curl", "--silent", "--cacert", self.site.authority.cert,
                                   "--max-time", "60", *options, server.url + "poll"],
                                  stdout=subprocess.PIPE, text=True) for _ in range(3)]
        # Those that are there are told, the others have not come yet.
        told = 0
        while told < len(polls) and any(poll.poll() is None for poll in polls):
            told += int(self.fetch(*options, server.url + "tell")[1])
        answers = [poll.communicate()[0] for poll in polls]
        self.assertTrue(all(answer.startswith("told ") for answer in answers), answers)

    @each_way
    def test_a_redirect_is_told(self, server, options, _):
        said, _ = self.fetch(*options, server.url + "moved")
        self.assertEqual(said["http_code"], 301)
        self.assertEqual(said["redirect_url"], "https://elsewhere.example/there")

    @each_tls_way
    def test_a_password_is_asked_for(self, server, options, _):
        secret = server.url + "secret/"
        for user, code in (((), 401), (("--user", "ann:guess"), 401),
                           (("--user", "ann:let me in"), 200)):
            said, body = self.fetch(*options, *user, secret)
            self.assertEqual(said["http_code"], code)
            self.assertEqual(body == b"<p>hello</p>\n", code == 200)

    def test_a_wrong_certificate_authority_is_noticed(self):
        done = run("curl", "--silent", self.tls.url, status=None)
        self.assertEqual(done.returncode, 60)


if __name__ == "__main__":
    unittest.main()
