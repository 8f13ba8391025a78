// What a log may be: a line for each call, whatever is in it; not too many of a kind; and nobody
// waits for a reader.
#include "check.hpp"
#include "log_limits.hpp"
#include "log_text.hpp"
#include "lws_proton_log.h"
#include "test_main.hpp"
#include "timers.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <poll.h>
#include <pthread.h>
#include <string>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

using namespace lws_proton;

namespace {

constexpr int kErr = 1, kWarn = 2;
constexpr int64_t kSecond = 1000 * kMs;

std::string line(const std::string &text, size_t room = LWS_PROTON_LOG_LINE)
{
    std::string to(room, '-');
    to.resize(escape_line(text, to.data(), room));
    return to;
}

std::string word(const std::string &text, size_t size = LWS_PROTON_LOG_LINE)
{
    std::string to(size, '-');
    return lws_proton_log_word(to.data(), size, text.data(), text.size());
}

void what_could_end_a_line_or_move_a_cursor_is_escaped()
{
    CHECK_EQ(line("GET /\r\n[2038/01/19] E: forged"), "GET /\\x0d\\x0a[2038/01/19] E: forged");
    CHECK_EQ(line("\x1b[2J\x07\x7f\t"), "\\x1b[2J\\x07\\x7f\\x09");
    // The same in one character, and what turns the direction of text.
    CHECK_EQ(line("\xc2\x9b"
                  "2J"),
             "\\xc2\\x9b2J");
    CHECK_EQ(line("\xe2\x80\xae\xe2\x80\xa8"), "\\xe2\\x80\\xae\\xe2\\x80\\xa8");
    CHECK_EQ(line("na\xc3\xafve \xe2\x82\xac \xf0\x9f\x90\x87"),
             "na\xc3\xafve \xe2\x82\xac \xf0\x9f\x90\x87");
}

void what_is_not_utf8_is_escaped()
{
    for (const char *bad : {"\x80", "\xc3", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80",
                            "\xf4\x90\x80\x80", "\xff", "\xe2\x82"}) {
        const std::string escaped = line(bad);
        CHECK_EQ(escaped.size(), 4 * std::string(bad).size());
        CHECK_EQ(escaped.find_first_not_of("\\x0123456789abcdef"), std::string::npos);
    }
    CHECK_EQ(line("\xc3("), "\\xc3(");
}

void a_line_is_cut_between_characters()
{
    CHECK_EQ(line("abcdef", 4), "abcd");
    CHECK_EQ(line("abc\n", 6), "abc");
    CHECK_EQ(line("abc\xe2\x82\xac", 5), "abc");
    CHECK_EQ(line(std::string(5000, 'x')).size(), size_t{LWS_PROTON_LOG_LINE});
}

void a_word_has_no_end_in_it()
{
    CHECK_EQ(word("https://example.org:8080"), "https://example.org:8080");
    CHECK_EQ(word("x\" end=\"y'\\\xc3\xaf\n"),
             "x\\x22\\x20end\\x3d\\x22y\\x27\\x5c\\xc3\\xaf\\x0a");
    CHECK_EQ(word("abcdef", 4), "abc");
    CHECK_EQ(word("a b", 4), "a");
    CHECK_EQ(word("abc", 1), "");
}

void lines_that_differ_in_what_peers_make_are_of_one_kind()
{
    const auto kind = [](const char *text) { return LogLimits::kind_of(kErr, text); };
    CHECK_EQ(kind("[2024/01/02 03:04:05:0678] E: [wsisrv|1|adopted]: f: bad request 12"),
             kind("[2031/11/12 13:14:15:1617] E: [wsisrv|a7|adopted]: f: bad request 3"));
    CHECK_EQ(kind("ws: \"amqp:x: 'one'\""), kind("ws: \"y:z\""));
    CHECK_EQ(kind("Malformed header in the request: x"), kind("Malformed header in the request: \""));
    CHECK(kind("can't do this") != kind("can't do that"));
    CHECK(kind("one") != kind("two"));
    CHECK(kind("one") != LogLimits::kind_of(kWarn, "one"));
}

// How many bytes of `line` come through in `seconds`, with a try each millisecond.
size_t admitted(LogLimits &limits, int level, const std::string &text, int64_t &now, int seconds)
{
    size_t bytes = 0;
    for (const int64_t end = now + seconds * kSecond; now < end; now += kMs)
        if (limits.admit(level, text, now))
            bytes += text.size();
    return bytes;
}

void a_kind_of_lines_has_a_rate_and_others_go_on()
{
    LogLimits limits;
    int64_t now = kSecond;
    const std::string text(100, 'x');
    CHECK_LE(admitted(limits, kErr, text, now, 60),
             size_t{LWS_PROTON_LOG_KIND_BURST + 60 * LWS_PROTON_LOG_KIND_RATE});
    CHECK(limits.admit(kErr, "another", now));
    // It has saved up nothing beyond the burst.
    now += 3600 * kSecond;
    CHECK_LE(admitted(limits, kErr, text, now, 1),
             size_t{LWS_PROTON_LOG_KIND_BURST + LWS_PROTON_LOG_KIND_RATE});
}

void all_kinds_together_have_a_rate()
{
    LogLimits limits;
    int64_t now = kSecond;
    size_t bytes = 0;
    for (unsigned i = 0; now < 60 * kSecond; i++, now += kMs) {
        std::string text(100, 'x');
        for (size_t bit = 0; bit < 16; bit++)
            text[bit] = i >> bit & 1 ? 'y' : 'x';
        if (limits.admit(kErr, text, now))
            bytes += text.size();
    }
    CHECK_LE(bytes, size_t{LWS_PROTON_LOG_BURST + 60 * LWS_PROTON_LOG_RATE});
    CHECK_GE(bytes, size_t{LWS_PROTON_LOG_BURST + 30 * LWS_PROTON_LOG_RATE});
    // An operator's lines are not among them.
    CHECK(limits.admit(LogLimits::kUser, "peer=", now));
}

void what_is_left_out_is_reported_once()
{
    LogLimits limits;
    int64_t now = kSecond;
    const std::string text = "[2024/01/02 03:04:05:0678] E: bad request";
    size_t left_out = 0;
    for (int i = 0; i < 1000; i++)
        left_out += !limits.admit(kErr, text, now);
    CHECK(left_out > 0);
    CHECK_EQ(limits.report(now, false).lines, 0u);
    CHECK_EQ(limits.next_report(), now + LWS_PROTON_LOG_REPORT_MS * kMs);
    const LogLimits::LeftOut report = limits.report(limits.next_report(), false);
    CHECK_EQ(report.lines, left_out);
    CHECK_EQ(std::string(report.sample.data(), report.sample_size), "bad request");
    CHECK_EQ(limits.report(now, true).lines, 0u);
    CHECK_EQ(limits.next_report(), kNever);
}

// `body` in a process of its own, whose stderr is a pipe that holds a page.
template <class F> pid_t start(int &read_end, F body)
{
    int ends[2];
    CHECK(!pipe(ends));
    fcntl(ends[1], F_SETPIPE_SZ, 4096);
    const pid_t child = fork();
    if (!child) {
        alarm(30);
        dup2(ends[1], STDERR_FILENO);
        body();
        exit(0);
    }
    close(ends[1]);
    read_end = ends[0];
    return child;
}

std::vector<std::string> read_lines(int fd)
{
    std::vector<std::string> lines(1);
    char c;
    while (read(fd, &c, 1) == 1)
        if (c == '\n')
            lines.emplace_back();
        else
            lines.back() += c;
    close(fd);
    CHECK_EQ(lines.back(), "");
    lines.pop_back();
    return lines;
}

void expect_success(pid_t child)
{
    int status;
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
}

void a_log_that_nobody_reads_stops_nobody_and_tells_what_was_lost()
{
    int fd, go[2], logged[2];
    CHECK(!pipe(go) && !pipe(logged));
    const pid_t child = start(fd, [&] {
        char c;
        for (int i = 0; i < 500; i++)
            lws_proton_log(LogLimits::kUser, (std::string(100, 'x') + "\n").c_str());
        if (write(logged[1], "x", 1) != 1 || read(go[0], &c, 1) != 1)
            abort();
    });
    char c;
    CHECK_EQ(read(logged[0], &c, 1), 1);  // nothing was read before
    CHECK_EQ(write(go[1], "x", 1), 1);
    const std::vector<std::string> lines = read_lines(fd);
    expect_success(child);
    size_t lost = 0, whole = 0;
    for (const std::string &text : lines) {
        const size_t at = text.find(" W: lws_proton: ");
        if (text == std::string(100, 'x'))
            whole++;
        else if (at != std::string::npos)
            CHECK_EQ(sscanf(text.c_str() + at, " W: lws_proton: %zu lines lost,", &lost), 1);
        else
            CHECK_EQ(text, "");
    }
    CHECK_EQ(whole + lost, 500u);
    CHECK(lost > 100);
    CHECK_GE(whole * 101, size_t{LWS_PROTON_LOG_PENDING - 101});
    printf("security: nobody reads the log | a queue of %d bytes, then lines are lost and counted | "
           "service as before | 500 lines: %zu written, %zu counted as lost\n",
           LWS_PROTON_LOG_PENDING, whole, lost);
}

void a_process_does_not_end_later_for_a_log_that_nobody_reads()
{
    int fd;
    const auto begun = std::chrono::steady_clock::now();
    expect_success(start(fd, [] {
        for (int i = 0; i < 500; i++)
            lws_proton_log(LogLimits::kUser, std::string(100, 'x').c_str());
    }));
    CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(20));
    close(fd);
}

void lines_come_out_in_order_and_once_before_the_end_of_the_process()
{
    int fd;
    const pid_t child = start(fd, [] {
        lws_proton_log(kErr, "one\n");
        lws_proton_log(kWarn, "two\n[2024] E: forged\n");
        for (int i = 0; i < 1000; i++)
            lws_proton_log(kErr, ("bad request " + std::to_string(i)).c_str());
    });
    const std::vector<std::string> lines = read_lines(fd);
    expect_success(child);
    CHECK_EQ(lines[0], "one");
    CHECK_EQ(lines[1], "two\\x0a[2024] E: forged");
    const size_t written = lines.size() - 3;
    CHECK_EQ(lines[1 + written], "bad request " + std::to_string(written - 1));
    const std::string report = " W: lws_proton: " + std::to_string(1000 - written) +
                               " lines left out, there were too many like this: bad request " +
                               std::to_string(written);
    CHECK_EQ(lines.back().substr(lines.back().find(" W: ")), report);
}

// Of a program that becomes a daemon, say.
void a_child_process_has_a_log_of_its_own()
{
    constexpr size_t kLines = 3;
    int fd;
    const pid_t child = start(fd, [] {
        lws_proton_log(kErr, "parent");
        // The thread that writes waits when the fork comes, and in the child when a line comes.
        const auto pause = [] { poll(nullptr, 0, 100); };
        pause();
        const pid_t grandchild = fork();
        if (!grandchild)
            alarm(30);
        for (size_t i = 0; i < kLines; i++) {
            lws_proton_log(kErr, grandchild ? "parent again" : "child");
            pause();
        }
        int status = 0;
        if (grandchild)
            waitpid(grandchild, &status, 0);
        if (status)
            abort();
    });
    std::vector<std::string> lines = read_lines(fd);
    expect_success(child);
    // LeakSanitizer looks in the child for the parent's thread, and writes a line of its own.
    const auto count = [&](const char *text) {
        return static_cast<size_t>(std::count(lines.begin(), lines.end(), text));
    };
    CHECK_EQ(count("parent"), 1u);
    CHECK_EQ(count("parent again"), kLines);
    CHECK_EQ(count("child"), kLines);
}

// The stack of each thread that is made from now on.
void set_stack_size(size_t size)
{
    pthread_attr_t attr;
    if (pthread_getattr_default_np(&attr) || pthread_attr_setstacksize(&attr, size) ||
        pthread_setattr_default_np(&attr))
        abort();
}

ptrdiff_t threads()
{
    using std::filesystem::directory_iterator;
    return std::distance(directory_iterator("/proc/self/task"), directory_iterator());
}

void without_a_thread_lost_lines_are_counted_and_a_thread_is_tried_once_a_second()
{
    constexpr size_t kMoreThanThereIs = size_t{1} << 47, kEnough = 1 << 20;
    int fd, logged[2];
    CHECK(!pipe(logged));
    const pid_t child = start(fd, [&] {
        const auto must = [](bool ok) {
            if (!ok)
                abort();
        };
        const auto since = std::chrono::steady_clock::now();
        const auto a_second_is_over = [&] {
            return std::chrono::steady_clock::now() - since >= std::chrono::seconds(1);
        };
        const ptrdiff_t before = threads();
        // Room for a line and, behind it, for the report.
        fcntl(STDERR_FILENO, F_SETPIPE_SZ, 8192);
        set_stack_size(kMoreThanThereIs);
        for (int i = 0; i < 500; i++)
            lws_proton_log(LogLimits::kUser, std::string(100, 'x').c_str());
        must(write(logged[1], "x", 1) == 1);
        for (int unread = 1; unread; poll(nullptr, 0, 1))
            must(!ioctl(STDERR_FILENO, FIONREAD, &unread));
        lws_proton_log(kErr, "read");
        must(threads() == before);

        set_stack_size(kEnough);
        lws_proton_log(kErr, "soon");
        must(threads() == before || a_second_is_over());
        poll(nullptr, 0, 1100);
        lws_proton_log(kErr, "later");
        must(threads() == before + 1);
    });
    char c;
    CHECK_EQ(read(logged[0], &c, 1), 1);  // nothing was read before
    const std::vector<std::string> lines = read_lines(fd);
    expect_success(child);
    const auto whole =
        static_cast<size_t>(std::count(lines.begin(), lines.end(), std::string(100, 'x')));
    CHECK(whole < 400);
    CHECK_EQ(lines.size(), whole + 4);
    CHECK_EQ(lines[whole], "read");
    const size_t at = lines[whole + 1].find(" W: ");
    CHECK(at != std::string::npos);
    CHECK_EQ(lines[whole + 1].substr(at), " W: lws_proton: " + std::to_string(500 - whole) +
                                              " lines lost, nobody read the log");
    CHECK_EQ(lines[whole + 2], "soon");
    CHECK_EQ(lines[whole + 3], "later");
}

}  // namespace

int main()
{
    const CMUnitTest tests[] = {
        E2E_TEST(what_could_end_a_line_or_move_a_cursor_is_escaped),
        E2E_TEST(what_is_not_utf8_is_escaped),
        E2E_TEST(a_line_is_cut_between_characters),
        E2E_TEST(a_word_has_no_end_in_it),
        E2E_TEST(lines_that_differ_in_what_peers_make_are_of_one_kind),
        E2E_TEST(a_kind_of_lines_has_a_rate_and_others_go_on),
        E2E_TEST(all_kinds_together_have_a_rate),
        E2E_TEST(what_is_left_out_is_reported_once),
        E2E_TEST(a_log_that_nobody_reads_stops_nobody_and_tells_what_was_lost),
        E2E_TEST(a_process_does_not_end_later_for_a_log_that_nobody_reads),
        E2E_TEST(lines_come_out_in_order_and_once_before_the_end_of_the_process),
        E2E_TEST(a_child_process_has_a_log_of_its_own),
        E2E_TEST(without_a_thread_lost_lines_are_counted_and_a_thread_is_tried_once_a_second),
    };
    return cmocka_run_group_tests_name("log", tests, nullptr, nullptr);
}
