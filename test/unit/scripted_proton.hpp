// A Proton without sockets or threads, in place of the real one: the functions that the glue uses,
// over connections whose peers the test plays. It behaves as Proton's epoll proactor does (its
// c/src/proactor/raw_connection.c), of 0.37, 0.40, or 0.37 with patches/qpid-proton, and it watches
// the glue: what no user of Proton may do is a violation, and every test ends with a look at those.
#pragma once

#include <proton/event.h>
#include <proton/listener.h>
#include <proton/object.h>
#include <proton/proactor.h>
#include <proton/raw_connection.h>

#include <netinet/in.h>

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace scripted {

enum class Version { v0_37, v0_40, backports };

// A buffer in Proton's hands. `bytes` is what has to be in it.
struct Loan {
    pn_raw_buffer_t buffer;
    std::string bytes;
};

}  // namespace scripted

struct pn_record_t {
    std::map<pn_handle_t, void *> values;
};

struct pn_condition_t {
    std::string description;
};

struct pn_netaddr_t {
    union {
        sockaddr any;
        sockaddr_in v4 = {};
        sockaddr_in6 v6;
    };
};

struct pn_event_t {
    pn_event_type_t type;
    pn_raw_connection_t *raw;
    pn_listener_t *listener;
};

struct pn_event_batch_t {
    pn_raw_connection_t *raw = nullptr;
    pn_listener_t *listener = nullptr;  // neither: the proactor's own
    std::deque<pn_event_type_t> events;
    pn_event_t current = {};
    bool working = false;  // given out, not handed back
};

struct pn_raw_connection_t {
    pn_raw_connection_t() { batch.raw = this; }

    // The peer's side.
    void peer_sends(std::string_view bytes) { to_us += bytes; }
    void peer_ends() { peer_ended = true; }
    void peer_resets() { peer_reset = true; }
    std::string peer_got;
    size_t peer_takes = SIZE_MAX;  // so many bytes more, then it lets us wait
    bool peer_saw_end = false;
    pn_netaddr_t peer_address, own_address;
    pn_condition_t condition;  // why it ended

    // How a connect ends, of a client's; it is pending until then.
    void connect_succeeds();
    void connect_fails(const std::string &why);
    void address_fails(const std::string &why);  // it cannot be used
    std::string connects_to;                     // as the glue gave it
    bool connecting = false;
    bool woken_early = false;  // while it was connecting

    // Proton's oddities, if the test wants them.
    bool only_says_disconnected = false;   // no word of its buffers before
    bool announces_again = false;          // READ and WRITTEN after DRAIN_BUFFERS, whatever is left
    int late_wakes = 0;                    // batches after DISCONNECTED, of a wake that raced it
    int disconnects_again = 0;             // batches that say DISCONNECTED again (PROTON-2763)
    bool says_disconnected_twice = false;  // in one batch

    // What the glue did.
    std::vector<uint32_t> read_sizes;     // capacity of each read buffer given
    std::vector<uint32_t> written_sizes;  // of each buffer to write
    std::vector<pn_event_type_t> events;  // that it was given
    int wakes = 0;
    int aborts = 0;
    int closes = 0;
    int write_closes = 0;

    // Buffers that were lent and not taken back.
    std::deque<scripted::Loan> unread, read, unwritten, written;
    bool accepted = false;  // or connecting; one that failed to be accepted is not
    bool freed = false;     // Proton is done with it

    // The rest is the double's own: the state machine, scripted_raw_connection.cpp.
    bool due() const;
    void process();
    bool advance(bool in_batch);
    void done();
    void abort();

    bool both_closed() const { return read_closed && write_closed && unwritten.empty(); }
    bool can_read() const { return !read_closed && !unread.empty(); }
    bool can_write() const { return !unwritten.empty() && !connecting && disconnect == connected; }
    bool io() const;
    void read_socket();
    void write_socket();
    void lose();
    void release();
    void close_read();
    void close_write();
    void disconnect_if_closed();
    void advance_disconnect();
    void put(pn_event_type_t type) { batch.events.push_back(type); }

    std::string to_us;
    bool peer_ended = false, peer_reset = false;
    pn_event_batch_t batch;
    pn_record_t record;
    uint32_t unwritten_offset = 0;
    bool read_closed = false, write_closed = false;
    bool taken_for_connected = false;
    bool closing = false;  // takes no wakes any more
    bool flushed = false;  // this batch has written what it was given
    bool wake_wanted = false, wake_pending = false;
    bool read_pending = false, written_pending = false;
    bool read_closed_pending = false, write_closed_pending = false;
    bool need_read_said = false, need_write_said = false;
    enum { connected, drain, drain_read, drain_written, say_it, over } disconnect = connected;
};

struct pn_listener_t {
    pn_listener_t() { batch.listener = this; }

    std::string address;
    int backlog = 0;
    size_t waiting = 0;  // connections that may be accepted
    std::atomic<bool> closed{false};
    std::atomic<bool> freed{false};  // Proton is done with it

    bool due() const;
    void close();
    bool accept();

    mutable std::mutex mutex;  // lws may close it while another thread has its batch
    pn_record_t record;
    pn_netaddr_t bound;
    pn_condition_t condition;
    pn_event_batch_t batch;
};

namespace scripted {

// All of it. One at a time.
class Proton {
public:
    explicit Proton(Version version);
    ~Proton();
    Proton(const Proton &) = delete;
    Proton &operator=(const Proton &) = delete;
    static Proton &the();

    const Version version;

    // What the glue did that nobody may do; the first says what to look for.
    std::vector<std::string> violations;

    // In the order in which they were made. They stay here after Proton is done with them.
    std::vector<std::unique_ptr<pn_raw_connection_t>> connections;
    std::vector<std::unique_ptr<pn_listener_t>> listeners;

    // Time stands still, except that a wait with nothing to do moves it to the timeout.
    static void advance_ms(int64_t ms);

    std::vector<pn_millis_t> timeouts;  // each that was set
    std::atomic<int> interrupts{0};
    int waits = 0;
    int proactors_made = 0, proactors_freed = 0;

    // What goes wrong, while it is set.
    bool no_proactor = false;
    bool no_connection = false;  // pn_raw_connection() is out of memory
    bool no_listener = false;
    std::string listen_error;
    size_t send_at_most = SIZE_MAX;   // bytes in one send
    std::function<void()> on_accept;  // when pn_listener_raw_accept() begins
    // When pn_proactor_wait() begins, once: what other threads do while one waits.
    std::function<void()> on_wait;

    // A batch is due.
    bool has_work() const;
    pn_event_batch_t *next_batch();
    void done(pn_event_batch_t *batch);
    // For a wait: moves the time to the timeout.
    void wait_for_timeout();
    void set_timeout(pn_millis_t ms);
    void cancel_timeout() { timeout_at_.reset(); }
    bool timeout_is_set() const { return timeout_at_.has_value(); }
    void interrupt() { interrupts++, interrupted_ = true; }

private:
    pn_event_batch_t own_;
    std::optional<int64_t> timeout_at_;  // µs
    std::atomic<bool> interrupted_{false};
    size_t turn_ = 0;  // connections come round
};

inline void violation(const std::string &what) {
    Proton::the().violations.push_back(what);
}

// A check inside of a callback, from where a test cannot leave.
inline void expect(bool holds, const char *what) {
    if (!holds)
        violation(std::string("not so: ") + what);
}

}  // namespace scripted
