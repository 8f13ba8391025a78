// SPDX-License-Identifier: MIT
#include "peers.hpp"

#include "ws_client.hpp"

#include <algorithm>

namespace stress {

namespace {

using e2e::Io;
using e2e::Opcode;
using e2e::TcpSocket;
using e2e::WsClient;
using std::chrono::milliseconds;

uint64_t up_to(Random &random, uint64_t most) {
    return std::uniform_int_distribution<uint64_t>(0, most)(random);
}

bool one_in(Random &random, unsigned n) {
    return up_to(random, n - 1) == 0;
}

constexpr unsigned kNever = UINT32_MAX;

struct WsPlan {
    enum class End { handshake, asked, half_close, close, reset };

    unsigned messages;     // that it sends
    unsigned window;       // so many of them on their way
    size_t size;           // of most of them, up to
    unsigned large_every;  // one in so many is larger
    unsigned pause_after;  // echoes; then it does not read
    milliseconds pause;
    unsigned leave_after;  // messages sent; then it leaves, whatever is on its way
    End end;
};

WsPlan random_plan(Random &random) {
    constexpr milliseconds kMostPause{1500};
    WsPlan plan{};
    plan.messages = static_cast<unsigned>(up_to(random, 60));
    plan.window = 1 + static_cast<unsigned>(up_to(random, 15));
    plan.size = 300;
    plan.large_every = 20;
    plan.pause_after = plan.leave_after = kNever;
    plan.end = static_cast<WsPlan::End>(up_to(random, 4));
    switch (up_to(random, 5)) {
    case 0:  // a flood of small ones
        plan.messages = 100 + static_cast<unsigned>(up_to(random, 400));
        plan.window = plan.messages;
        plan.size = 30;
        plan.large_every = kNever;
        break;
    case 1:  // a slow reader
        plan.messages = 50 + static_cast<unsigned>(up_to(random, 100));
        plan.window = plan.messages;
        plan.large_every = 4;
        plan.pause_after = static_cast<unsigned>(up_to(random, 20));
        plan.pause = milliseconds(up_to(random, static_cast<uint64_t>(kMostPause.count())));
        if (one_in(random, 3))
            plan.leave_after = static_cast<unsigned>(up_to(random, plan.messages));
        break;
    case 2:  // one that does not stay
        plan.leave_after = static_cast<unsigned>(up_to(random, plan.messages));
        break;
    default:
        break;
    }
    return plan;
}

// Sends numbered messages and checks that they come back, in their order.
class WsPeer : public Peer {
public:
    WsPeer(uint64_t id, const WsPlan &plan, std::shared_ptr<Generation> to, Totals &all)
        : Peer(std::move(to), all), client_(generation->port, "echo"), id_(id), plan_(plan) {}
    ~WsPeer() override {
        totals.echoed += echoed_;
        totals.abandoned += sent_ - echoed_;
    }

    std::string name() const override {
        return "ws " + std::to_string(id_) + ": " + std::to_string(sent_) + " sent, " +
               std::to_string(echoed_) + " echoed";
    }
    pollfd waits_for() override {
        const short events = client_.wanted_events();
        return {events ? client_.socket().fd() : -1, events, 0};
    }
    void pump(short events) override { client_.pump(events); }

    bool advance() override {
        take_frames();
        if (client_.state() == WsClient::State::ended)
            return check_end();
        if (client_.state() != WsClient::State::open)
            return false;
        read_or_pause();
        send_more();
        if (sent_ >= plan_.leave_after) {
            leave(plan_.end == WsPlan::End::reset);
            return true;
        }
        return echoed_ == plan_.messages && !closing_ && say_goodbye();
    }

private:
    std::string message(unsigned number) const {
        constexpr size_t kLarge = 12000;
        const uint64_t hash = (id_ + 1) * 0x9e3779b97f4a7c15 + number * 0xc2b2ae3d27d4eb4f;
        const size_t most =
            number % plan_.large_every == plan_.large_every - 1 ? kLarge : plan_.size;
        return std::to_string(id_) + ":" + std::to_string(number) + ":" +
               std::string((hash >> 20) % most, static_cast<char>('a' + hash % 26));
    }

    void take_frames() {
        for (const e2e::WsFrame &frame : client_.frames()) {
            if (frame.opcode == Opcode::close) {
                server_closed_ = true;
                continue;
            }
            if (echoed_ == sent_)
                throw WrongContent(name() + ": more than was sent: " + frame.payload.substr(0, 60));
            const Opcode kind = echoed_ % 3 ? Opcode::text : Opcode::binary;
            if (frame.opcode != kind || !frame.final || frame.payload != message(echoed_))
                throw WrongContent(name() + ", and then: " + frame.payload.substr(0, 60));
            echoed_++;
        }
        client_.frames().clear();
    }

    void read_or_pause() {
        if (client_.reading() && !paused_ && echoed_ >= plan_.pause_after) {
            paused_ = true;
            client_.set_reading(false);
            read_on_ = Clock::now() + plan_.pause;
        }
        // A context that ends is not kept waiting.
        if (!client_.reading() && (Clock::now() >= read_on_ || ending()))
            client_.set_reading(true);
    }

    void send_more() {
        constexpr size_t kAhead = 64 * 1024;
        while (sent_ < plan_.messages && sent_ < plan_.leave_after &&
               sent_ - echoed_ < plan_.window && client_.unsent_here() < kAhead) {
            const unsigned number = sent_++;
            totals.sent++;
            client_.queue_frame(number % 3 ? Opcode::text : Opcode::binary, message(number));
        }
    }

    void leave(bool reset) {
        if (reset) {
            totals.resets++;
            client_.socket().reset();
        } else {
            client_.socket().close();
        }
    }

    // True: there is nothing to wait for.
    bool say_goodbye() {
        closing_ = true;
        switch (plan_.end) {
        case WsPlan::End::handshake:
            client_.queue_frame(Opcode::close, e2e::close_payload(1000));
            return false;
        case WsPlan::End::asked:
            client_.queue_frame(Opcode::text, kCloseMe);
            return false;
        case WsPlan::End::half_close:
            client_.socket().shutdown_write();
            return false;
        case WsPlan::End::close:
        case WsPlan::End::reset:
            leave(plan_.end == WsPlan::End::reset);
            return true;
        }
        return true;
    }

    bool check_end() {
        const bool with_frame =
            plan_.end == WsPlan::End::handshake || plan_.end == WsPlan::End::asked;
        if (!ending() && (!closing_ || (with_frame && !server_closed_)))
            FAIL(name() + ": the server has ended it");
        return true;
    }

    WsClient client_;
    const uint64_t id_;
    const WsPlan plan_;
    unsigned sent_ = 0, echoed_ = 0;
    bool paused_ = false, closing_ = false, server_closed_ = false;
    Clock::time_point read_on_;
};

// What the kinds below have in common: bytes to send, bytes that came.
class TcpPeer : public Peer {
public:
    TcpPeer(std::shared_ptr<Generation> to, Totals &all)
        : Peer(std::move(to), all), socket_(generation->port) {}

    pollfd waits_for() override {
        return {socket_.fd(), static_cast<short>(POLLIN | (outgoing_.empty() ? 0 : POLLOUT)), 0};
    }
    void pump(short events) override {
        if ((events & (POLLOUT | POLLERR | POLLHUP)) && !outgoing_.empty()) {
            const e2e::IoResult sent = socket_.send_some(outgoing_);
            outgoing_.erase(0, sent.bytes);
            ended_ |= sent.state == Io::reset;
        }
        if (events & (POLLIN | POLLERR | POLLHUP)) {
            char block[16 * 1024];
            const e2e::IoResult got = socket_.receive_some(block, sizeof(block));
            incoming_.append(block, got.bytes);
            ended_ |= got.state == Io::closed || got.state == Io::reset;
        }
    }

protected:
    void leave(bool reset) {
        if (reset) {
            totals.resets++;
            socket_.reset();
        } else {
            socket_.close();
        }
    }

    TcpSocket socket_;
    std::string outgoing_, incoming_;
    bool ended_ = false;
};

// GET and POST on one connection, one after the other.
class HttpPeer : public TcpPeer {
public:
    HttpPeer(uint64_t id, Random &random, std::shared_ptr<Generation> to, Totals &all)
        : TcpPeer(std::move(to), all), id_(id), random_(random()) {
        left_ = 1 + up_to(random_, 15);
        leaves_early_ = one_in(random_, 5);
        ask();
    }

    std::string name() const override {
        return "http " + std::to_string(id_) + ", " + std::to_string(left_) + " requests to come";
    }

    bool advance() override {
        if (expected_.size() && take_answer()) {
            if (left_)
                ask();
            else
                expected_.clear();
        }
        if (ended_) {
            if (!ending() && (expected_.size() || !incoming_.empty()))
                FAIL(name() + ": the server has ended it; so far: " + incoming_.substr(0, 60));
            return true;
        }
        if (leaves_early_ && left_ == 0) {
            leave(one_in(random_, 2));
            return true;
        }
        return false;
    }

private:
    void ask() {
        left_--;
        totals.requests++;
        const size_t n = up_to(random_, kMostBody);
        const bool last = left_ == 0;
        const std::string rest = std::string(" HTTP/1.1\r\nHost: localhost\r\nConnection: ") +
                                 (last ? "close" : "keep-alive") + "\r\n";
        if (one_in(random_, 4)) {
            outgoing_ += "POST /" + rest + "Content-Length: " + std::to_string(n) + "\r\n\r\n" +
                         std::string(n, 'p');
            expected_ = std::to_string(n);
        } else {
            outgoing_ += "GET /" + std::to_string(n) + rest + "\r\n";
            expected_.assign(n, 'b');
        }
        expected_ = "\r\n\r\n" + expected_;
    }

    bool take_answer() {
        const size_t head = incoming_.find("\r\n\r\n");
        if (head == std::string::npos || incoming_.size() < head + expected_.size())
            return false;
        if (incoming_.compare(0, 12, "HTTP/1.1 200") != 0 ||
            incoming_.compare(head, std::string::npos, expected_) != 0)
            throw WrongContent(name() + ": answer: " + incoming_.substr(0, 300));
        incoming_.clear();
        totals.answers++;
        return true;
    }

    const uint64_t id_;
    Random random_;
    uint64_t left_;
    bool leaves_early_;
    std::string expected_;
};

std::string garbage(Random &random, size_t size) {
    std::string bytes(size, '\0');
    std::generate(bytes.begin(), bytes.end(), [&] { return static_cast<char>(random()); });
    return bytes;
}

// Says nothing, half of something or nonsense, and leaves after a while if the server does not.
class RudePeer : public TcpPeer {
public:
    RudePeer(uint64_t id, Random &random, std::shared_ptr<Generation> to, Totals &all)
        : TcpPeer(std::move(to), all), id_(id), reset_(one_in(random, 2)) {
        constexpr uint64_t kMostStay = 1000;  // ms
        const std::string upgrade =
            "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\n"
            "Sec-WebSocket-Protocol: echo\r\n\r\n";
        switch (up_to(random, 4)) {
        case 0:
            break;
        case 1:
            outgoing_ = upgrade.substr(0, up_to(random, upgrade.size()));
            break;
        case 2:
            outgoing_ = upgrade + garbage(random, up_to(random, 3000));
            break;
        case 3:
            outgoing_ = garbage(random, up_to(random, 3000));
            break;
        case 4:
            outgoing_ = upgrade + e2e::masked_frame(Opcode::text, std::string(9000, 'h'))
                                      .substr(0, up_to(random, 9000));
            break;
        }
        leaves_ = Clock::now() + milliseconds(up_to(random, kMostStay));
    }

    std::string name() const override { return "rude " + std::to_string(id_); }

    bool advance() override {
        incoming_.clear();
        if (ended_)
            return true;
        if (Clock::now() < leaves_ && !ending())
            return false;
        leave(reset_);
        return true;
    }

private:
    const uint64_t id_;
    const bool reset_;
    Clock::time_point leaves_;
};

}  // namespace

std::unique_ptr<Peer> make_peer(uint64_t id, Random &random, std::shared_ptr<Generation> to,
                                Totals &totals) {
    switch (up_to(random, 9)) {
    case 0:
        return std::make_unique<RudePeer>(id, random, std::move(to), totals);
    case 1:
    case 2:
        return std::make_unique<HttpPeer>(id, random, std::move(to), totals);
    default:
        return std::make_unique<WsPeer>(id, random_plan(random), std::move(to), totals);
    }
}

Crowd::Crowd(size_t size, uint64_t first_id, uint64_t step, uint64_t seed, Totals &totals)
    : full_(size), next_id_(first_id), step_(step), random_(seed), totals_(totals),
      thread_([this] { run(); }) {}

Crowd::~Crowd() {
    stop_ = true;
    thread_.join();
}

void Crowd::go_to(std::shared_ptr<Generation> generation) {
    std::lock_guard<std::mutex> lock(mutex_);
    generation_ = std::move(generation);
}

void Crowd::check() {
    std::lock_guard<std::mutex> lock(mutex_);
    if (thrown_)
        std::rethrow_exception(thrown_);
}

void Crowd::dismiss() {
    go_to(nullptr);
    dismissed_ = true;
    e2e::await("the peers to be dismissed", [&] { return !dismissed_; });
}

void Crowd::run() {
    while (!stop_) {
        try {
            turn();
        } catch (...) {
            std::lock_guard<std::mutex> lock(mutex_);
            thrown_ = std::current_exception();
            return;
        }
    }
}

void Crowd::fill() {
    // So many at a time: those that are there are to be served, too.
    constexpr int kNewInATurn = 20;
    std::lock_guard<std::mutex> lock(mutex_);
    for (int i = 0; i < kNewInATurn && peers_.size() < full_ && generation_ && !generation_->ending;
         i++) {
        peers_.push_back(make_peer(next_id_, random_, generation_, totals_));
        next_id_ += step_;
        totals_.connections++;
    }
    count_ = peers_.size();
}

void Crowd::turn() {
    constexpr int kLookAgainMs = 10;
    if (dismissed_) {
        peers_.clear();
        count_ = 0;
        dismissed_ = false;
    }
    fill();
    std::vector<pollfd> waiting;
    for (const auto &peer : peers_)
        waiting.push_back(peer->waits_for());
    poll(waiting.data(), waiting.size(), kLookAgainMs);
    for (size_t i = peers_.size(); i--;) {
        bool done = false;
        try {
            if (waiting[i].revents)
                peers_[i]->pump(waiting[i].revents);
            done = peers_[i]->advance();
        } catch (const e2e::CheckFailed &) {
            // of a context that is gone, or goes
            if (!peers_[i]->generation->ending)
                throw;
            done = true;
        }
        if (!done && peers_[i]->overdue())
            FAIL("nothing moves: " + peers_[i]->name());
        if (done) {
            std::swap(peers_[i], peers_.back());
            peers_.pop_back();
        }
    }
    count_ = peers_.size();
}

}  // namespace stress
