"""nghttp and h2load, nghttp2's client and load generator, against the site over HTTP/2."""

import functools
import re
import unittest

from judge import SANITIZED, Site, run, sha256

LARGE = 5_000_000
REQUESTS = 1_000 if SANITIZED else 10_000


def each_server(test):
    @functools.wraps(test)
    def tests(self):
        for name in ("tls", "h2c"):
            with self.subTest(server=name):
                test(self, getattr(self, name))
    return tests


class Nghttp(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.site = Site()
        cls.addClassCleanup(cls.site.close)
        cls.large = cls.site.file("large", LARGE)
        cls.tls = cls.enterClassContext(cls.site.serve())
        cls.h2c = cls.enterClassContext(cls.site.serve("--h2c", tls=False))

    def nghttp(self, *arguments):
        return run("nghttp", "--no-verify-peer", *arguments)

    def statuses(self, *arguments):
        """The status of each request, in the order of their streams."""
        said = self.nghttp("--stat", "--null-out", *arguments).text
        rows = re.findall(r"^ *(\d+) .*s +(\d{3}) +\S+ /", said, re.MULTILINE)
        return [int(status) for _, status in sorted(rows, key=lambda row: int(row[0]))]

    def h2load(self, *arguments, requests, clients):
        said = run("h2load", f"--requests={requests}", f"--clients={clients}", *arguments).text
        self.assertIn(f"{requests} done, {requests} succeeded, 0 failed, 0 errored, 0 timeout", said)
        self.assertIn(f"status codes: {requests} 2xx, 0 3xx, 0 4xx, 0 5xx", said)
        return int(re.search(r"\((\d+)\) data$", said, re.MULTILINE)[1])

    # One stream

    @each_server
    def test_a_file_is_intact_through_windows_of_any_size(self, server):
        for bits in (10, 16, 24):
            for windows in ((f"--window-bits={bits}",), (f"--connection-window-bits={bits}",),
                            (f"--window-bits={bits}", f"--connection-window-bits={bits}")):
                got = self.nghttp(*windows, server.url + "large").stdout
                self.assertEqual(got, self.large.read_bytes(), windows)

    @each_server
    def test_a_body_arrives_intact(self, server):
        for options in ((), ("--padding=255",), ("--trailer=checksum: none",)):
            answer = self.nghttp(*options, f"--data={self.large}", server.url + "body").text
            self.assertEqual(answer, f"{LARGE}\n", options)
            self.assertEqual(sha256(self.site.store / "body"), sha256(self.large))

    @each_server
    def test_a_body_that_is_not_wanted_ends_no_other_stream(self, server):
        paths = ("nowhere", "", "body", "secret/")
        codes = self.statuses(f"--data={self.large}", *(server.url + path for path in paths))
        self.assertEqual(sorted(codes), [200, 200, 200, 404])
        self.assertEqual(self.nghttp(server.url).text, "<p>hello</p>\n")

    @each_server
    def test_headers_of_any_table_size_are_understood(self, server):
        for size in (0, 1, 4096, 1 << 20):
            self.assertEqual(self.statuses(f"--header-table-size={size}",
                                           f"--encoder-header-table-size={size}",
                                           "--multiply=20", server.url), [200] * 20)

    @each_server
    def test_a_large_header_that_goes_on_in_further_frames_is_understood(self, server):
        """Beyond one frame, nghttp2 sends CONTINUATION; what lws has no name for it passes over."""
        fields = [f"--header=x-long-{n}: {'y' * 900}" for n in range(20)]
        self.assertEqual(self.statuses(*fields, server.url), [200])

    def test_an_upgrade_from_http_1_is_served(self):
        with self.site.serve(tls=False) as server:
            self.assertEqual(self.nghttp("--upgrade", server.url).text, "<p>hello</p>\n")

    # Many

    @each_server
    def test_streams_side_by_side_are_all_answered(self, server):
        paths = [server.url + path for path in ("", "large", "events", "moved", "nowhere")]
        for options in ((), ("--no-dep",), ("--max-concurrent-streams=3",)):
            codes = self.statuses(*options, "--multiply=4", *paths)
            self.assertEqual(sorted(codes), sorted([200, 200, 200, 301, 404] * 4), options)

    @each_server
    def test_as_many_as_clients_open_before_they_know_the_limit_are_answered(self, server):
        self.assertEqual(self.statuses("--multiply=100", server.url), [200] * 100)

    @each_server
    def test_bodies_side_by_side_are_all_counted(self, server):
        answers = self.nghttp("--multiply=10", f"--data={self.large}", server.url + "body").text
        self.assertEqual(answers, f"{LARGE}\n" * 10)

    @each_server
    def test_a_load_of_small_requests_is_answered(self, server):
        got = self.h2load("--max-concurrent-streams=100", server.url, requests=REQUESTS, clients=20)
        self.assertEqual(got, REQUESTS * len("<p>hello</p>\n"))

    @each_server
    def test_one_connection_serves_more_than_its_credit_adds_up_to(self, server):
        got = self.h2load("--max-concurrent-streams=100", server.url, requests=REQUESTS, clients=1)
        self.assertEqual(got, REQUESTS * len("<p>hello</p>\n"))

    @each_server
    def test_a_load_of_large_files_is_answered(self, server):
        for windows in ((), ("--window-bits=14", "--connection-window-bits=14")):
            got = self.h2load("--max-concurrent-streams=4", *windows, server.url + "large",
                              requests=40, clients=5)
            self.assertEqual(got, 40 * LARGE)

    @each_server
    def test_a_load_of_bodies_is_answered(self, server):
        body = self.site.path / "load-body"
        body.write_bytes(self.large.read_bytes()[:100_000])
        got = self.h2load("--max-concurrent-streams=8", f"--data={body}", server.url + "body",
                          requests=REQUESTS // 10, clients=5)
        self.assertEqual(got, REQUESTS // 10 * len("100000\n"))

    def test_a_load_over_http_1_is_answered(self):
        with self.site.serve(tls=False) as plain:
            for server in (plain, self.tls):
                got = self.h2load("--h1", server.url, requests=REQUESTS, clients=20)
                self.assertEqual(got, REQUESTS * len("<p>hello</p>\n"))


if __name__ == "__main__":
    unittest.main()
