// SPDX-License-Identifier: MIT
#include "host.hpp"

#include "check.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace stress {

namespace {

std::mutex log_mutex;
std::deque<std::string> log_lines;
Log::LeftBehind log_left_behind;

// One in so many occasions asks all connections to write: each costs a walk over all of them.
constexpr unsigned kBroadcastEvery = 128;

// Queued for one connection: it is not read from beyond this.
constexpr size_t kQueueFull = 32 * 1024;

constexpr int kPatience = 600;  // s

struct WsSession {
    std::deque<std::pair<std::string, bool>> queue;  // with: is it binary?
    std::string partial;
    size_t queued = 0;
    bool stopped = false;
};

struct HttpSession {
    size_t body;
};

int answer(lws *wsi, const std::string &body) {
    unsigned char buffer[LWS_PRE + 1024 + kMostBody], *start = buffer + LWS_PRE, *at = start,
                                                      *end = buffer + sizeof(buffer);
    if (lws_add_http_common_headers(wsi, HTTP_STATUS_OK, "text/plain", body.size(), &at, end) ||
        lws_finalize_write_http_header(wsi, start, &at, end))
        return 1;
    memcpy(start, body.data(), body.size());
    if (lws_write(wsi, start, body.size(), LWS_WRITE_HTTP_FINAL) < 0)
        return 1;
    return lws_http_transaction_completed(wsi);
}

}  // namespace

void Log::begin() {
    lws_set_log_level(LLL_ERR | LLL_WARN, [](int, const char *line) {
        constexpr size_t kKept = 40;
        std::lock_guard<std::mutex> lock(log_mutex);
        log_lines.emplace_back(line);
        if (log_lines.size() > kKept)
            log_lines.pop_front();
        const char *name = "lws_proton: ", *said = strstr(line, name);
        if (said && strstr(said, "linger beyond the context")) {
            log_left_behind.connections += strtoul(said + strlen(name), nullptr, 10);
            log_left_behind.contexts++;
        }
    });
}

std::string Log::tail() {
    std::lock_guard<std::mutex> lock(log_mutex);
    std::string all;
    for (const std::string &line : log_lines)
        all += line;
    return all;
}

Log::LeftBehind Log::left_behind() {
    std::lock_guard<std::mutex> lock(log_mutex);
    return log_left_behind;
}

struct Protocols {
    static Host &host(lws *wsi) {
        return *static_cast<Host *>(lws_context_user(lws_get_context(wsi)));
    }

    static int http(lws *wsi, lws_callback_reasons reason, void *user, void *in, size_t len) {
        Host &h = host(wsi);
        h.on(wsi, reason);
        auto *session = static_cast<HttpSession *>(user);
        switch (reason) {
        case LWS_CALLBACK_HTTP:
            session->body = 0;
            if (lws_hdr_total_length(wsi, WSI_TOKEN_POST_URI))
                return 0;
            h.counters_.answered++;
            return answer(wsi, std::string(std::min(kMostBody, strtoul(static_cast<char *>(in) + 1,
                                                                       nullptr, 10)),
                                           'b'));
        case LWS_CALLBACK_HTTP_BODY:
            session->body += len;
            return 0;
        case LWS_CALLBACK_HTTP_BODY_COMPLETION:
            h.counters_.answered++;
            return answer(wsi, std::to_string(session->body));
        default:
            return 0;
        }
    }

    static int echo(lws *wsi, lws_callback_reasons reason, void *user, void *in, size_t len) {
        Host &h = host(wsi);
        h.on(wsi, reason);
        auto **session = static_cast<WsSession **>(user);
        switch (reason) {
        case LWS_CALLBACK_ESTABLISHED:
            *session = new WsSession;
            return 0;
        case LWS_CALLBACK_CLOSED:
            delete *session;
            *session = nullptr;
            return 0;
        case LWS_CALLBACK_RECEIVE:
            return receive(h, wsi, **session, static_cast<char *>(in), len);
        case LWS_CALLBACK_SERVER_WRITEABLE:
            return *session ? write(h, wsi, **session) : 0;
        default:
            return 0;
        }
    }

    static int receive(Host &h, lws *wsi, WsSession &s, const char *in, size_t len) {
        s.partial.append(in, len);
        if (!lws_is_final_fragment(wsi))
            return 0;
        h.counters_.received++;
        if (s.partial == kCloseMe) {
            lws_close_reason(wsi, LWS_CLOSE_STATUS_GOINGAWAY, nullptr, 0);
            return -1;
        }
        s.queued += s.partial.size();
        s.queue.emplace_back(std::move(s.partial), lws_frame_is_binary(wsi));
        s.partial.clear();
        if (!s.stopped && s.queued > kQueueFull) {
            s.stopped = true;
            lws_rx_flow_control(wsi, 0);
        }
        lws_callback_on_writable(wsi);
        return 0;
    }

    static int write(Host &h, lws *wsi, WsSession &s) {
        if (s.queue.empty())
            return 0;  // another connection's doing
        const auto message = std::move(s.queue.front());
        s.queue.pop_front();
        s.queued -= message.first.size();
        std::string buffer(LWS_PRE, '\0');
        buffer += message.first;
        if (lws_write(wsi, reinterpret_cast<unsigned char *>(&buffer[LWS_PRE]),
                      message.first.size(), message.second ? LWS_WRITE_BINARY : LWS_WRITE_TEXT) < 0)
            return -1;
        h.counters_.written++;
        if (s.stopped && s.queued < kQueueFull / 2) {
            s.stopped = false;
            lws_rx_flow_control(wsi, 1);
        }
        if (!s.queue.empty())
            lws_callback_on_writable(wsi);
        return 0;
    }
};

namespace {

const lws_protocols kProtocols[] = {
    {"http", Protocols::http, sizeof(HttpSession), 0, 0, nullptr, 0},
    {"echo", Protocols::echo, sizeof(WsSession *), 4096, 0, nullptr, 0},
    LWS_PROTOCOL_LIST_TERM,
};

}  // namespace

Host::Host(int threads, bool own_proactor, Counters &counters) : counters_(counters) {
    if (own_proactor)
        serving_ = std::make_unique<ApplicationThreads>(threads);
    else
        serving_ = std::make_unique<ServiceThreads>(threads);
    lws_context_creation_info info = {};
    info.options = LWS_SERVER_OPTION_PROTON;
    info.protocols = kProtocols;
    info.user = this;
    // No machine is so slow: the server is to close for reasons of its own only.
    info.timeout_secs = kPatience;
    info.keepalive_timeout = kPatience;
    info.timeout_secs_ah_idle = kPatience;
    serving_->prepare(info);
    context_ = lws_create_context(&info);
    if (!context_)
        FAIL("no context: " + Log::tail());
    // An application's threads may serve it already.
    lws_proton_loop_t *loop = lws_proton_loop_of(context_);
    CHECK_EQ(lws_proton_loop_enter(loop, 0), 0);
    generation_->port = lws_get_vhost_listen_port(lws_get_vhost_by_name(context_, "default"));
    lws_proton_loop_leave(loop);
    serving_->begin(context_);
}

Host::~Host() {
    if (!gone_)
        destroy();
}

bool Host::cancel_service() {
    return gate_.pass([&] {
        lws_cancel_service(context_);
        counters_.cancelled++;
    });
}

bool Host::stats(lws_proton_stats_t *into) {
    return gate_.pass([&] { *into = lws_proton_loop_stats(lws_proton_loop_of(context_)); });
}

// The last moment at which others may use the context.
void Host::end() {
    gate_.close();
    generation_->ending = true;
}

void Host::destroy() {
    serving_->stop();
    end();
    lws_context_destroy(context_);
    gone_ = true;
    census_.check_all_lived_and_died();
}

void Host::destroy_in(lws_callback_reasons reason) {
    destroyed_in_ = reason;
    e2e::await("a callback that destroys the context", [&] { return gone_.load(); });
    serving_->await_end();
    census_.check_all_lived_and_died();
}

void Host::on(lws *wsi, lws_callback_reasons reason) {
    census_.note(wsi, reason);
    switch (reason) {
    case LWS_CALLBACK_ESTABLISHED:
    case LWS_CALLBACK_RECEIVE:
    case LWS_CALLBACK_CLOSED:
    case LWS_CALLBACK_HTTP:
    case LWS_CALLBACK_EVENT_WAIT_CANCELLED:
        if (occasions_++ % kBroadcastEvery == 0)
            ask_all_to_write(wsi);
        break;
    default:
        break;
    }
    int wanted = reason;
    if (destroyed_in_.compare_exchange_strong(wanted, -1)) {
        end();
        lws_context_destroy(lws_get_context(wsi));
        gone_ = true;
    }
}

void Host::ask_all_to_write(lws *wsi) {
    lws_context *context = lws_get_context(wsi);
    lws_vhost *vhost = lws_get_vhost_by_name(context, "default");
    const lws_protocols *echo = vhost ? lws_vhost_name_to_protocol(vhost, "echo") : nullptr;
    if (!echo)
        return;  // it is being made, or destroyed
    if (counters_.broadcasts++ % 2)
        lws_callback_on_writable_all_protocol(context, echo);
    else
        lws_callback_on_writable_all_protocol_vhost(vhost, echo);
}

}  // namespace stress
