// SPDX-License-Identifier: MIT
#include "tunnel.hpp"

#include <lws_proton_log.h>

#include <algorithm>
#include <cstring>

namespace gateway {

namespace {

// For what is left when one side has closed.
constexpr int kFlushSeconds = 30;
// RFC 6455's registry: "try again later".
constexpr int kTryAgainLater = 1013;

// For the log.
std::string header(lws *wsi, lws_token_indexes token) {
    char value[256];
    char word[LWS_PROTON_LOG_LINE / 2];
    const int length = lws_hdr_copy(wsi, value, sizeof(value), token);
    return lws_proton_log_word(word, sizeof(word), value, length > 0 ? length : 0);
}

}  // namespace

void Pipe::put(const void *bytes, size_t size) {
    if (at_ > kFull) {
        bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<ptrdiff_t>(at_ - LWS_PRE));
        at_ = LWS_PRE;
    }
    if (bytes_.empty()) {
        bytes_.reserve(kMost);
        bytes_.resize(at_ = LWS_PRE);
    }
    const auto *from = static_cast<const uint8_t *>(bytes);
    bytes_.insert(bytes_.end(), from, from + size);
}

void Pipe::written(size_t size) {
    at_ += size;
    if (empty()) {
        std::vector<uint8_t>().swap(bytes_);
        at_ = 0;
    }
}

Tunnel::Tunnel(Site &site, lws *ws)
    : site_(site), ws_(ws),
      first_broker_(site.next_broker++ % static_cast<unsigned>(site.options.brokers.size())),
      origin_(header(ws, WSI_TOKEN_ORIGIN)) {
    char address[64];
    peer_ = lws_get_peer_simple(ws, address, sizeof(address)) ? address : "?";
}

Tunnel::~Tunnel() {
    site_.open--;
    lwsl_user("peer=%s origin=%s broker=%s received=%llu sent=%llu ms=%lld end=\"%s\"\n",
              peer_.c_str(), origin_.empty() ? "-" : origin_.c_str(),
              broker_name_.empty() ? "-" : broker_name_.c_str(),
              static_cast<unsigned long long>(in_), static_cast<unsigned long long>(out_),
              static_cast<long long>((lws_now_usecs() - begun_) / LWS_US_PER_MS), why_.c_str());
}

int Tunnel::ws_established() {
    site_.accepted++;
    // lws keeps what comes until there is a broker.
    lws_rx_flow_control(ws_, 0);
    dial();
    return 0;
}

int Tunnel::ws_received(const void *bytes, size_t size, bool binary) {
    if (!binary) {
        why_ = "a text message";
        say_why(LWS_CLOSE_STATUS_UNACCEPTABLE_OPCODE);
        return -1;
    }
    in_ += size;
    site_.bytes_in += size;
    if (!broker_ && !connecting_)
        return 0;
    to_broker_.put(bytes, size);
    if (to_broker_.size() > Pipe::kFull)
        lws_rx_flow_control(ws_, 0);
    if (broker_)
        lws_callback_on_writable(broker_);
    return 0;
}

int Tunnel::ws_writable() {
    while (!to_ws_.empty() && !lws_send_pipe_choked(ws_)) {
        const size_t n = std::min(to_ws_.size(), Pipe::kPiece);
        if (lws_write(ws_, to_ws_.front(), n, LWS_WRITE_BINARY) < 0)
            return -1;
        to_ws_.written(n);
        out_ += n;
        site_.bytes_out += n;
    }
    if (broker_ && to_ws_.size() <= Pipe::kFull / 2)
        lws_rx_flow_control(broker_, 1);
    if (!to_ws_.empty()) {
        lws_callback_on_writable(ws_);
        return 0;
    }
    if (!code_)
        return 0;
    say_why(code_);
    return -1;
}

void Tunnel::ws_closed() {
    ws_ = nullptr;
    if (why_.empty())
        why_ = "the client closed the connection";
    if (!broker_)
        return;
    lws_set_timeout(broker_, PENDING_TIMEOUT_USER_OK, kFlushSeconds);
    lws_callback_on_writable(broker_);
}

void Tunnel::dial() {
    const auto &brokers = site_.options.brokers;
    const Broker &broker = brokers[(first_broker_ + tried_) % brokers.size()];
    const unsigned attempt = ++tried_;
    broker_name_ = broker.host + ":" + std::to_string(broker.port);
    connecting_ = true;
    lws_client_connect_info info = {};
    info.context = lws_get_context(ws_);
    info.vhost = lws_get_vhost(ws_);
    info.address = info.host = broker.host.c_str();
    info.port = broker.port;
    info.method = "RAW";
    info.local_protocol_name = "broker";
    info.opaque_user_data = this;
    // It may have told so itself, and have gone on to the next.
    if (!lws_client_connect_via_info(&info) && connecting_ && attempt == tried_)
        broker_unreached("out of memory");
}

int Tunnel::broker_connected(lws *broker) {
    connecting_ = false;
    // The client has gone meanwhile: lws tells of what is refused here as not reached.
    if (!ws_)
        return -1;
    broker_ = broker;
    lws_rx_flow_control(ws_, 1);
    lws_callback_on_writable(broker_);
    return 0;
}

void Tunnel::broker_unreached(const char *why) {
    connecting_ = false;
    if (!ws_)
        return;
    site_.brokers_failed++;
    lwsl_warn("broker %s: %s\n", broker_name_.c_str(), why);
    if (tried_ < site_.options.brokers.size()) {
        dial();
        return;
    }
    site_.unserved++;
    end(kTryAgainLater, "no broker is reached");
}

void Tunnel::broker_received(const void *bytes, size_t size) {
    if (!ws_)
        return;
    to_ws_.put(bytes, size);
    if (to_ws_.size() > Pipe::kFull)
        lws_rx_flow_control(broker_, 0);
    lws_callback_on_writable(ws_);
}

int Tunnel::broker_writable() {
    while (!to_broker_.empty() && !lws_send_pipe_choked(broker_)) {
        const size_t n = std::min(to_broker_.size(), Pipe::kPiece);
        if (lws_write(broker_, to_broker_.front(), n, LWS_WRITE_RAW) < 0)
            return -1;
        to_broker_.written(n);
    }
    if (ws_ && to_broker_.size() <= Pipe::kFull / 2)
        lws_rx_flow_control(ws_, 1);
    if (!to_broker_.empty()) {
        lws_callback_on_writable(broker_);
        return 0;
    }
    return ws_ ? 0 : -1;
}

void Tunnel::broker_closed() {
    broker_ = nullptr;
    if (ws_)
        end(LWS_CLOSE_STATUS_GOINGAWAY, "the broker closed the connection");
}

void Tunnel::end(int code, const std::string &why) {
    code_ = code;
    why_ = why;
    // What it still sends goes nowhere.
    lws_rx_flow_control(ws_, 1);
    lws_set_timeout(ws_, PENDING_TIMEOUT_USER_OK, kFlushSeconds);
    lws_callback_on_writable(ws_);
}

void Tunnel::say_why(int code) {
    lws_close_reason(ws_, static_cast<lws_close_status>(code),
                     reinterpret_cast<unsigned char *>(why_.data()), why_.size());
}

}  // namespace gateway
