// SPDX-License-Identifier: MIT
#include "tunnel.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <new>

namespace gateway {

namespace {

// For what is left when one side has closed; the other one has less if it takes nothing of it.
constexpr int kFlushSeconds = 30;
constexpr lws_usec_t kStalled = 5 * LWS_US_PER_SEC;
// RFC 6455's registry: "try again later".
constexpr int kTryAgainLater = 1013;
// Of a tx window, what a frame's header and a TLS record around a piece take at most.
constexpr size_t kAround = 64;
// A piece more than lws has room for would wait in a buffer of lws's.
constexpr size_t kLeastRoom = 2048;

constexpr uint8_t kPing[] = {'i', 'd', 'l', 'e'};

constexpr lws_usec_t seconds(unsigned n) {
    return static_cast<lws_usec_t>(n) * LWS_US_PER_SEC;
}

// What can be written now without waiting in a buffer of lws's.
size_t room(lws *wsi) {
    const lws_fileofs_t allowance = lws_get_peer_write_allowance(wsi);
    if (allowance < 0)
        return Pipe::kPiece;
    return std::min(std::max(static_cast<size_t>(allowance), kLeastRoom) - kAround, Pipe::kPiece);
}

}  // namespace

Tunnel *Tunnel::make(Site &site, lws *ws, Addresses::Entry *address) noexcept {
    return new (std::nothrow) Tunnel(site, ws, address);
}

Tunnel::Tunnel(Site &site, lws *ws, Addresses::Entry *address) noexcept
    : site_(site), ws_(ws), address_(address),
      first_broker_(site.next_broker++ % static_cast<unsigned>(site.options.brokers.size())) {
    timer_.tunnel = this;
    if (!lws_get_peer_simple(ws, peer_, sizeof(peer_)))
        snprintf(peer_, sizeof(peer_), "?");
    if (lws_hdr_copy(ws, origin_, sizeof(origin_), WSI_TOKEN_ORIGIN) <= 0)
        snprintf(origin_, sizeof(origin_), "-");
}

Tunnel::~Tunnel() {
    lws_sul_cancel(&timer_.sul);
    site_.addresses.leave(address_);
    site_.open--;
    lwsl_user("peer=%s origin=%s broker=%s received=%llu sent=%llu ms=%lld end=\"%s\"\n", peer_,
              origin_, broker_name_, static_cast<unsigned long long>(in_),
              static_cast<unsigned long long>(out_),
              static_cast<long long>((lws_now_usecs() - begun_) / LWS_US_PER_MS), why_);
}

int Tunnel::ws_established() noexcept {
    site_.accepted++;
    // lws keeps what comes until there is a broker.
    read_client(false);
    dial();
    return 0;
}

int Tunnel::ws_received(const void *bytes, size_t size, bool binary) noexcept {
    if (!binary) {
        why_ = "a text message";
        say_why(LWS_CLOSE_STATUS_UNACCEPTABLE_OPCODE);
        return -1;
    }
    in_ += size;
    site_.bytes_in += size;
    heard_ = lws_now_usecs();
    if (state_ == State::ending)
        return 0;
    if (!to_broker_.put(bytes, size)) {
        end(kTryAgainLater, "out of memory");
        return 0;
    }
    if (to_broker_.size() > Pipe::kFull)
        read_client(false);
    if (broker_)
        lws_callback_on_writable(broker_);
    return 0;
}

int Tunnel::ws_writable() noexcept {
    if (ping_ && !lws_send_pipe_choked(ws_)) {
        // lws tells of no pong without a payload.
        uint8_t ping[LWS_PRE + sizeof(kPing)];
        memcpy(ping + LWS_PRE, kPing, sizeof(kPing));
        ping_ = false;
        if (lws_write(ws_, ping + LWS_PRE, sizeof(kPing), LWS_WRITE_PING) < 0)
            return -1;
    }
    while (!to_ws_.empty() && !lws_send_pipe_choked(ws_)) {
        const size_t n = std::min(to_ws_.size(), room(ws_));
        if (lws_write(ws_, to_ws_.front(), n, LWS_WRITE_BINARY) < 0)
            return -1;
        to_ws_.written(n);
        out_ += n;
        site_.bytes_out += n;
        heard_ = lws_now_usecs();
    }
    if (broker_ && to_ws_.size() <= Pipe::kFull / 2)
        lws_rx_flow_control(broker_, 1);
    if (!to_ws_.empty() || ping_) {
        lws_callback_on_writable(ws_);
        return 0;
    }
    if (!code_)
        return 0;
    say_why(code_);
    return -1;
}

void Tunnel::ws_closed() noexcept {
    ws_ = nullptr;
    lws_sul_cancel(&timer_.sul);
    if (!*why_)
        why_ = "the client closed the connection";
    if (broker_)
        begin_end();
}

void Tunnel::stop() noexcept {
    if (ws_ && state_ != State::ending)
        end(LWS_CLOSE_STATUS_GOINGAWAY, "the gateway stops");
}

void Tunnel::dial() noexcept {
    const auto &brokers = site_.options.brokers;
    const Broker &broker = brokers[(first_broker_ + tried_) % brokers.size()];
    const unsigned attempt = ++tried_;
    broker_name_ = broker.name.c_str();
    connecting_ = true;
    lws_client_connect_info info = {};
    info.context = lws_get_context(ws_);
    info.vhost = site_.brokers;
    info.address = info.host = broker.host.c_str();
    info.port = broker.port;
    info.method = "RAW";
    info.local_protocol_name = kBrokerProtocols[0].name;
    info.opaque_user_data = this;
    // It may have told so itself, and have gone on to the next.
    if (!lws_client_connect_via_info(&info) && connecting_ && attempt == tried_)
        broker_unreached("out of memory");
}

int Tunnel::broker_connected(lws *broker) noexcept {
    connecting_ = false;
    // The client has gone meanwhile: lws tells of what is refused here as not reached.
    if (!ws_ || state_ == State::ending)
        return -1;
    broker_ = broker;
    state_ = State::opening;
    wait_until(lws_now_usecs() + seconds(site_.options.open_seconds));
    read_client(true);
    lws_callback_on_writable(broker_);
    return 0;
}

void Tunnel::broker_unreached(const char *why) noexcept {
    connecting_ = false;
    if (!ws_ || state_ == State::ending)
        return;
    site_.brokers_failed++;
    lwsl_warn("broker %s: %s\n", broker_name_, why);
    if (tried_ < site_.options.brokers.size()) {
        dial();
        return;
    }
    site_.unserved++;
    end(kTryAgainLater, "no broker is reached");
}

void Tunnel::broker_received(const void *bytes, size_t size) noexcept {
    answered_ += size;
    if (!ws_ || state_ == State::ending)
        return;
    if (!to_ws_.put(bytes, size)) {
        end(kTryAgainLater, "out of memory");
        return;
    }
    if (to_ws_.size() > Pipe::kFull)
        lws_rx_flow_control(broker_, 0);
    lws_callback_on_writable(ws_);
}

int Tunnel::broker_writable() noexcept {
    while (!to_broker_.empty() && !lws_send_pipe_choked(broker_)) {
        const size_t n = std::min(to_broker_.size(), room(broker_));
        if (lws_write(broker_, to_broker_.front(), n, LWS_WRITE_RAW) < 0)
            return -1;
        to_broker_.written(n);
        passed_ += n;
    }
    if (ws_ && to_broker_.size() <= Pipe::kFull / 2)
        read_client(true);
    if (!to_broker_.empty()) {
        lws_callback_on_writable(broker_);
        return 0;
    }
    return ws_ && state_ != State::ending ? 0 : -1;
}

void Tunnel::broker_closed() noexcept {
    broker_ = nullptr;
    if (ws_ && state_ != State::ending)
        end(LWS_CLOSE_STATUS_GOINGAWAY, "the broker closed the connection");
}

void Tunnel::read_client(bool on) noexcept {
    if (reading_ != on)
        lws_rx_flow_control(ws_, on);
    reading_ = on;
}

void Tunnel::end(int code, const char *why) noexcept {
    code_ = code;
    why_ = why;
    // What it still sends goes nowhere.
    read_client(true);
    begin_end();
}

void Tunnel::begin_end() noexcept {
    const lws_usec_t now = lws_now_usecs();
    if (state_ != State::ending)
        cut_ = now + seconds(kFlushSeconds);
    state_ = State::ending;
    moved_ = out_ + passed_;
    wait_until(std::min(now + kStalled, cut_));
    if (ws_)
        lws_callback_on_writable(ws_);
    if (broker_)
        lws_callback_on_writable(broker_);
}

void Tunnel::say_why(int code) noexcept {
    // A control frame has 125 bytes, two of them for the code.
    unsigned char text[124];
    const int length = snprintf(reinterpret_cast<char *>(text), sizeof(text), "%s", why_);
    lws_close_reason(ws_, static_cast<lws_close_status>(code), text,
                     std::min(static_cast<size_t>(length), sizeof(text) - 1));
}

void Tunnel::wait_until(lws_usec_t due) noexcept {
    lws *wsi = ws_ ? ws_ : broker_;
    lws_sul_schedule(lws_get_context(wsi), lws_wsi_tsi(wsi), &timer_.sul, expired,
                     std::max<lws_usec_t>(due - lws_now_usecs(), 0) + 1);
}

void Tunnel::expired(lws_sorted_usec_list_t *sul) noexcept {
    Tunnel &self = *reinterpret_cast<Timer *>(sul)->tunnel;
    const lws_usec_t now = lws_now_usecs();
    switch (self.state_) {
    case State::dialing:
        break;
    case State::opening:
        if (self.in_ < kOpening || self.answered_ < kOpening) {
            self.not_opened();
            break;
        }
        self.state_ = State::open;
        self.look_for_silence(now);
        break;
    case State::open:
        self.look_for_silence(now);
        break;
    case State::ending:
        self.look_for_an_end(now);
        break;
    }
}

void Tunnel::not_opened() noexcept {
    if (in_ < kOpening) {
        site_.silent++;
        end(LWS_CLOSE_STATUS_POLICY_VIOLATION, "the client did not begin AMQP in time");
    } else {
        site_.unserved++;
        end(kTryAgainLater, "the broker did not answer in time");
    }
}

// Half of the time is for a client to send something, which AMQP peers do only if the other one asks
// for it, and half for it to answer a ping, which all do.
void Tunnel::look_for_silence(lws_usec_t now) noexcept {
    const lws_usec_t most = seconds(site_.options.idle_seconds);
    if (!most)
        return;
    if (now - heard_ >= most) {
        // While the broker takes nothing, the client is not read and cannot be heard. It is excused if
        // it has taken all that there is for it, the ping too, which would have told of a reset.
        if (reading_ || !to_ws_.empty() || ping_) {
            site_.silent++;
            end(LWS_CLOSE_STATUS_POLICY_VIOLATION, "the client is silent");
            return;
        }
        heard_ = now - most / 2;
    }
    if (now - heard_ < most / 2) {
        wait_until(heard_ + most / 2);
        return;
    }
    ping_ = true;
    lws_callback_on_writable(ws_);
    wait_until(heard_ + most);
}

void Tunnel::look_for_an_end(lws_usec_t now) noexcept {
    if (now < cut_ && moved_ != out_ + passed_) {
        moved_ = out_ + passed_;
        wait_until(std::min(now + kStalled, cut_));
        return;
    }
    for (lws *wsi : {ws_, broker_})
        if (wsi)
            lws_set_timeout(wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
}

}  // namespace gateway
