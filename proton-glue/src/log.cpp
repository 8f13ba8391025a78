// SPDX-License-Identifier: MIT
//
// The log of programs. Who logs puts a line into a queue; one thread writes, and may wait for the
// reader. (A write that does not wait would need a descriptor of its own: O_NONBLOCK on stderr is for
// all processes that have it. And a file on a disk that hangs knows no such thing.)
#include "lws_proton_log.h"

#include "log_limits.hpp"
#include "log_text.hpp"
#include "timers.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <climits>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <mutex>
#include <new>
#include <poll.h>
#include <pthread.h>
#include <string_view>
#include <unistd.h>

namespace lws_proton {

namespace {

// A whole line, with its end.
struct Line {
    std::array<char, LWS_PROTON_LOG_LINE> bytes;
    size_t size = 0;
};

// Lines that are not written yet.
class Queue {
public:
    bool empty() const noexcept { return !used_; }

    bool push(const Line &line) noexcept {
        if (line.size > bytes_.size() - used_)
            return false;
        for (size_t i = 0; i < line.size; i++)
            bytes_[(begin_ + used_ + i) % bytes_.size()] = line.bytes[i];
        used_ += line.size;
        return true;
    }
    // Each ends with the only '\n' in it.
    void pop(Line &line) noexcept {
        line.size = 0;
        char c;
        do {
            c = line.bytes[line.size++] = bytes_[begin_];
            begin_ = (begin_ + 1) % bytes_.size();
            used_--;
        } while (c != '\n');
    }

private:
    std::array<char, LWS_PROTON_LOG_PENDING> bytes_;
    size_t begin_ = 0, used_ = 0;
};

// How long a log without a thread waits before it tries again to make one (us).
constexpr int64_t kTryAgain = 1000 * kMs;

bool wait_until_writable(int ms) noexcept {
    pollfd fd = {STDERR_FILENO, POLLOUT, 0};
    return poll(&fd, 1, ms) > 0;
}

// False: it is lost.
bool write_line(const Line &line, bool may_wait) noexcept {
    // A pipe that has room for any has room for a line.
    static_assert(LWS_PROTON_LOG_LINE <= PIPE_BUF);
    for (size_t done = 0; done < line.size;) {
        if (!may_wait && !wait_until_writable(0))
            return false;
        const ssize_t n = write(STDERR_FILENO, line.bytes.data() + done, line.size - done);
        if (n > 0)
            done += static_cast<size_t>(n);
        else if (errno == EAGAIN && may_wait)
            wait_until_writable(-1);
        else if (errno != EINTR)
            return false;
    }
    return true;
}

// As lws does: whoever reads logs finds one form of line.
size_t stamp(char *to, size_t size) noexcept {
    timespec now;
    tm local;
    clock_gettime(CLOCK_REALTIME, &now);
    localtime_r(&now.tv_sec, &local);
    char time[32];
    strftime(time, sizeof(time), "%Y/%m/%d %H:%M:%S", &local);
    return static_cast<size_t>(
        snprintf(to, size, "[%s:%04ld] W: lws_proton: ", time, now.tv_nsec / 100000));
}

class Log {
public:
    void add(int level, std::string_view text) noexcept {
        if (!text.empty() && text.back() == '\n')
            text.remove_suffix(1);
        Line line;
        line.size = escape_line(text, line.bytes.data(), line.bytes.size() - 1);
        std::unique_lock<std::mutex> lock(mutex_);
        if (!limits_.admit(level, {line.bytes.data(), line.size}, now_us())) {
            // Its report has a time.
            changed_.notify_one();
            return;
        }
        line.bytes[line.size++] = '\n';
        if (!start()) {
            write_at_once(line);
            return;
        }
        if (!queue_.push(line))
            lost_++;
        changed_.notify_one();
    }

    // The process ends.
    void finish() noexcept {
        std::unique_lock<std::mutex> lock(mutex_);
        finishing_ = true;
        changed_.notify_one();
        written_.wait_for(lock, std::chrono::milliseconds(LWS_PROTON_LOG_EXIT_MS),
                          [this] { return !started_ || written(); });
    }

    // Around a fork(), in the parent.
    void before_fork() noexcept { mutex_.lock(); }
    void after_fork() noexcept { mutex_.unlock(); }

private:
    bool start() noexcept {
        if (started_)
            return true;
        // Where no thread can be made, each try costs system calls, and lines come with what peers do.
        const int64_t now = now_us();
        if (now < next_try_)
            return false;
        next_try_ = now + kTryAgain;
        // Signals are for the program's threads; SIGPIPE is for nobody.
        sigset_t all, before;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        pthread_t thread;
        started_ = !pthread_create(
            &thread, nullptr, [](void *log) -> void * { return static_cast<Log *>(log)->run(); },
            this);
        pthread_sigmask(SIG_SETMASK, &before, nullptr);
        if (started_)
            pthread_detach(thread);
        return started_;
    }

    void write_at_once(const Line &line) noexcept {
        if (!write_line(line, false))
            lost_++;
        else if (lost_ && write_line(lost_line(), false))
            lost_ = 0;
    }

    void *run() noexcept {
        std::unique_lock<std::mutex> lock(mutex_);
        for (;;) {
            report();
            if (queue_.empty()) {
                written_.notify_all();
                wait(lock);
                continue;
            }
            Line line;
            queue_.pop(line);
            writing_ = true;
            lock.unlock();
            const bool done = write_line(line, true);
            lock.lock();
            writing_ = false;
            if (!done)
                lost_++;
            else if (lost_ && queue_.empty())
                report_lost();
        }
    }

    bool written() const noexcept {
        return queue_.empty() && !writing_ && limits_.next_report() == kNever;
    }

    void wait(std::unique_lock<std::mutex> &lock) noexcept {
        const int64_t next = limits_.next_report();
        if (next == kNever)
            changed_.wait(lock);
        else
            changed_.wait_for(lock, std::chrono::microseconds(next - now_us()));
    }

    void report() noexcept {
        for (;;) {
            const LogLimits::LeftOut left_out = limits_.report(now_us(), finishing_);
            if (!left_out.lines)
                return;
            Line line;
            line.size = stamp(line.bytes.data(), line.bytes.size());
            line.size += static_cast<size_t>(
                snprintf(line.bytes.data() + line.size, line.bytes.size() - line.size,
                         "%zu lines left out, there were too many like this: %.*s\n",
                         left_out.lines, static_cast<int>(left_out.sample_size),
                         left_out.sample.data()));
            if (!queue_.push(line))
                lost_ += left_out.lines;
        }
    }

    void report_lost() noexcept {
        queue_.push(lost_line());
        lost_ = 0;
    }

    Line lost_line() const noexcept {
        Line line;
        line.size = stamp(line.bytes.data(), line.bytes.size());
        line.size += static_cast<size_t>(
            snprintf(line.bytes.data() + line.size, line.bytes.size() - line.size,
                     "%zu lines lost, nobody read the log\n", lost_));
        return line;
    }

    std::mutex mutex_;  // the last that a thread takes: lines come with any other held
    std::condition_variable changed_, written_;
    Queue queue_;
    LogLimits limits_;
    size_t lost_ = 0;  // lines, since the last report
    int64_t next_try_ = 0;  // to make the thread
    bool started_ = false, writing_ = false, finishing_ = false;
};

// Never destroyed: its thread goes on to the end of the process.
alignas(Log) unsigned char storage[sizeof(Log)];

Log &the_log() noexcept {
    static Log *const log = [] {
        auto *made = new (storage) Log;
        std::atexit([] { the_log().finish(); });
        // A child has no thread that writes, and the parent's lines are the parent's. Its log is made
        // anew, where the parent's is: glibc's condition variables wait for ever for those who waited
        // in the parent, also to be destroyed.
        pthread_atfork([] { the_log().before_fork(); }, [] { the_log().after_fork(); },
                       [] { new (storage) Log; });
        return made;
    }();
    return *log;
}

}  // namespace

}  // namespace lws_proton

void lws_proton_log(int level, const char *line) {
    lws_proton::the_log().add(level, line);
}

const char *lws_proton_log_word(char *to, size_t size, const void *text, size_t len) {
    to[lws_proton::escape_word({static_cast<const char *>(text), len}, to, size - 1)] = '\0';
    return to;
}
