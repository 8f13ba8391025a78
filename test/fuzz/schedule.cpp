// SPDX-License-Identifier: MIT
//
// The input is a schedule: who feeds, takes, serves, stops, closes and when, of up to four raw
// connections. A model knows each byte that has to come, in both directions, and how many may be
// under way. A driver is served only when something said that it has to be: who has to be served
// in spite of that was forgotten, which is a finding.
#include "harness.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

namespace {

constexpr size_t kPeers = 4;
constexpr size_t kMostWrite = 4096;
// What lws reads at a time, and may hold for a protocol that has stopped it.
constexpr size_t kLwsRead = 8192;

// Byte `i` of a stream that is unlike itself wherever it is cut.
uint8_t numbered(uint64_t stream, uint64_t i) {
    const uint64_t x = (i + 1) * 0x9e3779b97f4a7c15u + stream * 0xd6e8feb86659fd93u;
    return static_cast<uint8_t>(x >> 56 ^ x >> 29);
}

class Peer {
public:
    explicit Peer(lws_vhost *vhost, unsigned number) : number_(number) {
        windows_ = lws_proton_loop_windows(fuzz::loop());
        driver_ = lws_proton_driver_new(
            fuzz::loop(), 0, [](void *self) { static_cast<Peer *>(self)->due_ = true; }, this);
        fuzz::expect(driver_, "no driver");
        adopting = this;
        lws_sock_file_fd_type fd;
        fd.sockfd = lws_proton_driver_conn(driver_);
        fuzz::expect(lws_adopt_descriptor_vhost(vhost, LWS_ADOPT_SOCKET, fd, "schedule", nullptr),
                     "not adopted");
        adopting = nullptr;
        due_ = true;
    }
    ~Peer() { free(); }
    Peer(const Peer &) = delete;
    Peer &operator=(const Peer &) = delete;

    // The peer's own actions.

    void feed(size_t most) {
        if (!driver_)
            return;
        const pn_rwbytes_t in = lws_proton_driver_read_buffer(driver_);
        fuzz::expect(in.size <= windows_.rx, "more room than the rx window has");
        fuzz::expect(!in.size || !ended_, "room after the end of the stream");
        const size_t n = std::min(most, in.size);
        for (size_t i = 0; i < n; i++)
            in.start[i] = static_cast<char>(numbered(2 * number_, fed_ + i));
        if (!n)
            return;
        lws_proton_driver_read_done(driver_, n);
        fed_ += n;
        due_ = true;
        check_bounds();
    }

    size_t take(size_t most) {
        if (!driver_)
            return 0;
        const pn_bytes_t out = lws_proton_driver_write_buffer(driver_);
        fuzz::expect(out.size <= windows_.tx, "more than the tx window has");
        fuzz::expect(taken_ + out.size <= written_, "bytes that nobody wrote");
        fuzz::expect(!out.size || !lws_proton_driver_write_closed(driver_), "output after its end");
        const size_t n = std::min(most, out.size);
        for (size_t i = 0; i < n; i++)
            fuzz::expect(static_cast<uint8_t>(out.start[i]) ==
                             numbered(2 * number_ + 1, taken_ + i),
                         "output is lost, doubled or out of order");
        if (!n)
            return 0;
        lws_proton_driver_write_done(driver_, n);
        taken_ += n;
        due_ = true;
        return n;
    }

    void end_stream() {
        if (!driver_ || ended_)
            return;
        lws_proton_driver_read_close(driver_);
        ended_ = due_ = true;
    }

    void reset() {
        if (!driver_)
            return;
        lws_proton_driver_write_close(driver_);
        lost_ = ended_ = due_ = true;
    }

    void free() {
        lws_proton_driver_free(driver_);
        driver_ = nullptr;
    }

    // True: it was due.
    bool serve_if_due() {
        if (!driver_ || !due_)
            return false;
        due_ = false;
        if (lws_proton_driver_service(driver_))
            due_ = true;
        check_bounds();
        return true;
    }

    // What the protocol is to do, at once or in its next callback.

    void ask_to_write(size_t n) {
        to_write_ = std::min(to_write_ + n, size_t{1} << 18);
        if (wsi_ && to_write_)
            lws_callback_on_writable(wsi_);
    }

    void flow(bool on) {
        if (!wsi_)
            return;
        stopped_ = !on;
        lws_rx_flow_control(wsi_, on);
    }

    void stop_at_next_receive() { stop_next_ = true; }
    void timer() {
        if (wsi_)
            lws_set_timer_usecs(wsi_, 1);
    }
    void close_at_next_callback() { close_next_ = true; }
    void kill(int how) {
        if (!wsi_)
            return;
        killed_ = true;
        lws_set_timeout(wsi_, PENDING_TIMEOUT_USER_OK, how);
        due_ = true;
    }
    void echo(bool on) { echo_ = on; }

    // The end of the schedule: the peer takes all there is, and ends in one of three ways.
    void finish(int how) {
        if (how == 1)
            reset();
        else if (how == 2)
            free();
        if (!driver_)
            return;
        finishing_ = true;
        flow(true);
        stop_next_ = false;
        settle();
        end_stream();
        settle();
        fuzz::expect(!wsi_, "lws keeps a connection whose peer has ended his stream");
        fuzz::expect(lws_proton_driver_finished(driver_), "a driver does not finish");
        fuzz::expect(lws_proton_driver_write_closed(driver_) &&
                         lws_proton_driver_read_closed(driver_),
                     "a driver that has finished has not closed");
        if (killed_ || lost_)
            return;
        if (!closed_itself_)
            fuzz::expect(seen_ == fed_, "lws closes, and has not given all that came");
        fuzz::expect(taken_ == written_, "lws closes, and has not sent all that was written");
    }

    // Serves, as long as it is due, and takes all output; then nothing may be left to be done.
    void settle() {
        for (int round = 0; driver_; round++) {
            fuzz::expect(round < 100000, "it never comes to rest");
            const bool served = serve_if_due();
            if (!take(SIZE_MAX) && !served && !due_)
                break;
        }
        if (!driver_)
            return;
        const uint64_t before = activity_;
        lws_proton_driver_service(driver_);
        const pn_bytes_t out = lws_proton_driver_write_buffer(driver_);
        fuzz::expect(activity_ == before && !out.size,
                     "there is something to do, and the driver was not woken");
    }

    void expect_closed() const {
        fuzz::expect(adopted_ == 1, "not adopted once");
        fuzz::expect(closed_ == 1, "not closed once");
    }

    // lws's callbacks.
    int on(lws *wsi, lws_callback_reasons reason, const uint8_t *in, size_t len) {
        if (reason == LWS_CALLBACK_RAW_RX || reason == LWS_CALLBACK_RAW_WRITEABLE ||
            reason == LWS_CALLBACK_RAW_ADOPT || reason == LWS_CALLBACK_RAW_CLOSE)
            activity_++;
        switch (reason) {
        case LWS_CALLBACK_RAW_ADOPT:
            adopted_++;
            wsi_ = wsi;
            return 0;
        case LWS_CALLBACK_RAW_RX:
            fuzz::expect(!stopped_, "bytes for a protocol that has stopped them");
            fuzz::expect(seen_ + len <= fed_, "bytes that nobody sent");
            for (size_t i = 0; i < len; i++)
                fuzz::expect(in[i] == numbered(2 * number_, seen_ + i),
                             "input is lost, doubled or out of order");
            seen_ += len;
            if (stop_next_) {
                stop_next_ = false;
                stopped_ = true;
                lws_rx_flow_control(wsi, 0);
            }
            if (echo_)
                ask_to_write(len);
            return close_now();
        case LWS_CALLBACK_RAW_WRITEABLE:
            return close_now() ? -1 : write();
        case LWS_CALLBACK_TIMER:
            if (!finishing_)
                flow(stopped_);
            ask_to_write(100);
            return 0;
        case LWS_CALLBACK_RAW_CLOSE:
            closed_++;
            wsi_ = nullptr;
            return 0;
        default:
            return 0;
        }
    }

    static Peer *adopting;

private:
    int close_now() {
        if (close_next_)
            closed_itself_ = true;
        return close_next_ ? -1 : 0;
    }

    int write() {
        const size_t n = std::min(to_write_, kMostWrite);
        if (!n)
            return 0;
        std::array<uint8_t, LWS_PRE + kMostWrite> buffer;
        for (size_t i = 0; i < n; i++)
            buffer[LWS_PRE + i] = numbered(2 * number_ + 1, written_ + i);
        fuzz::expect(written_ - taken_ <= windows_.tx - windows_.tx / 4,
                     "WRITEABLE, and the tx window is full");
        written_ += n;
        to_write_ -= n;
        if (lws_write(wsi_, &buffer[LWS_PRE], n, LWS_WRITE_RAW) < static_cast<int>(n)) {
            killed_ = true;
            return -1;
        }
        if (to_write_)
            lws_callback_on_writable(wsi_);
        return 0;
    }

    void check_bounds() const {
        if (!wsi_)
            return;
        fuzz::expect(fed_ - seen_ <= windows_.rx + kLwsRead, "more is kept than the rx window");
        fuzz::expect(written_ - taken_ <= windows_.tx + kMostWrite,
                     "more is kept than the tx window");
    }

    const unsigned number_;
    lws_proton_windows_t windows_;
    lws_proton_driver_t *driver_ = nullptr;
    lws *wsi_ = nullptr;
    bool due_ = false;      // the driver is to be served
    bool ended_ = false;    // the peer has ended his stream
    bool lost_ = false;     // and takes nothing any more
    bool stopped_ = false;  // the protocol's rx flow control
    bool stop_next_ = false, close_next_ = false, closed_itself_ = false, killed_ = false;
    bool echo_ = true, finishing_ = false;
    uint64_t fed_ = 0, seen_ = 0, written_ = 0, taken_ = 0, activity_ = 0;
    size_t to_write_ = 0;
    int adopted_ = 0, closed_ = 0;
};

Peer *Peer::adopting;

int protocol(lws *wsi, lws_callback_reasons reason, void *user, void *in, size_t len) {
    auto **peer = static_cast<Peer **>(user);
    if (!wsi || !peer)
        return 0;
    if (reason == LWS_CALLBACK_RAW_ADOPT)
        *peer = Peer::adopting;
    return *peer ? (*peer)->on(wsi, reason, static_cast<uint8_t *>(in), len) : 0;
}

const lws_protocols kProtocols[] = {
    {"schedule", protocol, sizeof(Peer *), kLwsRead, 0, nullptr, 0},
    LWS_PROTOCOL_LIST_TERM,
};

size_t amount(uint8_t byte) {
    return byte < 128 ? byte : size_t{1} << (byte & 15);
}

class Schedule {
public:
    explicit Schedule(lws_vhost *vhost) : vhost_(vhost) {
        set_windows(LWS_PROTON_RX, LWS_PROTON_TX, false);
    }

    void step(uint8_t op, uint8_t byte) {
        std::unique_ptr<Peer> &slot = peers_[op >> 4 & (kPeers - 1)];
        if (!slot)
            slot = std::make_unique<Peer>(vhost_, opened_++);
        const size_t n = amount(byte);
        switch (op & 0x0f) {
        case 0:
        case 1:
            return slot->feed(n);
        case 2:
            slot->take(n);
            return;
        case 3:
            slot->serve_if_due();
            return;
        case 4:
            for (auto &peer : peers_)
                if (peer)
                    peer->serve_if_due();
            return;
        case 5:
            lws_service(fuzz::context(), -1);
            return;
        case 6:
            return slot->ask_to_write(n);
        case 7:
            return slot->flow(byte & 1);
        case 8:
            return slot->stop_at_next_receive();
        case 9:
            return slot->timer();
        case 10:
            return slot->close_at_next_callback();
        case 11:
            return slot->kill(byte & 1 ? LWS_TO_KILL_SYNC : LWS_TO_KILL_ASYNC);
        case 12:
            return slot->end_stream();
        case 13:
            return slot->echo(byte & 1);
        case 14:
            return set_windows(LWS_PROTON_WINDOW_MIN + (byte & 7) * 5000u,
                               LWS_PROTON_WINDOW_MIN + (byte >> 3 & 7) * 9000u, byte & 0x80);
        default:
            finish(slot, byte);
        }
    }

    void finish() {
        for (auto &peer : peers_)
            finish(peer, 0);
        fuzz::expect_no_connections();
        for (const auto &peer : finished_)
            peer->expect_closed();
    }

    void check() const {
        const lws_proton_stats_t stats = lws_proton_loop_stats(fuzz::loop());
        fuzz::expect(stats.connections <= opened_ && stats.lingering <= stats.connections,
                     "the statistics are wrong");
    }

private:
    static void set_windows(uint32_t rx, uint32_t tx, bool answer_first) {
        const lws_proton_windows_t windows = {rx, tx, answer_first};
        fuzz::expect(!lws_proton_loop_set_windows(fuzz::loop(), &windows), "set_windows");
    }

    // Its number is kept until the end: lws may still call it.
    void finish(std::unique_ptr<Peer> &slot, int how) {
        if (!slot)
            return;
        slot->finish(how & 3);
        slot->free();
        finished_.push_back(std::move(slot));
    }

    lws_vhost *vhost_;
    unsigned opened_ = 0;
    std::array<std::unique_ptr<Peer>, kPeers> peers_;
    std::vector<std::unique_ptr<Peer>> finished_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static lws_vhost *const vhost = [] {
        lws_context_creation_info info = {};
        info.protocols = kProtocols;
        return fuzz::make_vhost("schedule", info);
    }();
    Schedule schedule(vhost);
    for (size_t i = 0; i + 1 < size; i += 2) {
        schedule.step(data[i], data[i + 1]);
        schedule.check();
    }
    schedule.finish();
    return 0;
}
