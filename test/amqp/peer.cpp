// SPDX-License-Identifier: MIT
#include "peer.hpp"

#include "waiting.hpp"

#include <algorithm>
#include <cstring>
#include <poll.h>
#include <utility>

using namespace conformance;

namespace amqp_test {

Endpoint::Endpoint(Application &application, const lws_test::Context::Creation &change)
    : context([](lws_context_creation_info &info) { info.pt_serv_buf_size = LWS_PROTON_AMQP_RX; }),
      vhost(context.add_server([&](lws_context_creation_info &info) {
          info.port = CONTEXT_PORT_NO_LISTEN_SERVER;
          info.protocols = application.protocols();
          if (change)
              change(info);
          over_tcp = info.options & LWS_SERVER_OPTION_ADOPT_APPLY_LISTEN_ACCEPT_CONFIG;
      })) {}

lws_test::Context::Creation Endpoint::tcp(const lws_test::Context::Creation &change) {
    return [=](lws_context_creation_info &info) {
        lws_proton_amqp_over_tcp(&info, "amqp");
        if (change)
            change(info);
    };
}

std::string Peer::one_message(std::string_view bytes) {
    return frame({kBinary}, bytes);
}

Peer::Wrap Peer::messages_of(size_t size) {
    return [=](std::string_view bytes) {
        std::string frames;
        for (; !bytes.empty(); bytes.remove_prefix(std::min(size, bytes.size())))
            frames += frame({kBinary}, bytes.substr(0, size));
        return frames;
    };
}

Peer::Wrap Peer::fragments_of(size_t size) {
    return [=](std::string_view bytes) {
        std::string frames = frame({kBinary, false}, "");
        for (; !bytes.empty(); bytes.remove_prefix(std::min(size, bytes.size())))
            frames += frame({kContinuation, false}, bytes.substr(0, size));
        return frames + frame({kContinuation, true}, "");
    };
}

Peer::Wrap Peer::endless_frame() {
    // A length of eight bytes, and a mask that leaves what it masks as it is.
    return [head = std::string("\x82\xff\0\1\0\0\0\0\0\0\0\0\0\0", 14)](std::string_view bytes) mutable {
        std::string wrapped = std::exchange(head, "");
        return wrapped.append(bytes);
    };
}

Peer::Peer(Endpoint &endpoint) : Peer(endpoint, Adopted::by_vhost) {}

Peer::Peer(Endpoint &endpoint, Adopted adopted)
    : endpoint_(endpoint), driver_(lws_proton_driver_new(endpoint.loop(), 0, nullptr, nullptr)) {
    CHECK(driver_);
    if (endpoint.over_tcp)
        wrap = as_it_is;
    if (adopted == Adopted::by_vhost)
        CHECK(lws_adopt_socket_vhost(endpoint.vhost, lws_proton_driver_conn(driver_)));
}

Peer::~Peer() {
    cut();
    if (speaking_)
        pn_connection_driver_destroy(&engine_);
}

void Peer::cut() {
    if (driver_)
        lws_proton_driver_free(driver_);
    driver_ = nullptr;
}

int Peer::upgrade(const std::string &headers) {
    send("GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
         "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n" +
         headers + "\r\n");
    run();
    const size_t end = received.find("\r\n\r\n");
    if (received.compare(0, 7, "HTTP/1.") != 0 || end == std::string::npos)
        return 0;
    const int status = std::stoi(received.substr(9));
    received.erase(0, end + 4);
    return status;
}

void Peer::begin() {
    CHECK_EQ(pn_connection_driver_init(&engine_, nullptr, nullptr), 0);
    speaking_ = true;
}

bool Peer::serve() {
    bool moved = lws_proton_driver_service(driver_);
    const pn_rwbytes_t in = lws_proton_driver_read_buffer(driver_);
    if (const size_t n = std::min({in.size, unsent_.size(), most, quota})) {
        memcpy(in.start, unsent_.data(), n);
        lws_proton_driver_read_done(driver_, n);
        unsent_.erase(0, n);
        quota -= n;
        moved = true;
    }
    const pn_bytes_t out = lws_proton_driver_write_buffer(driver_);
    if (const size_t n = reading ? std::min({out.size, most, appetite}) : 0) {
        received.append(out.start, n);
        appetite -= n;
        lws_proton_driver_write_done(driver_, n);
        moved = true;
    }
    return moved;
}

bool Peer::speak() {
    bool any = false;
    while (pn_event_t *event = pn_connection_driver_next_event(&engine_)) {
        if (on)
            on(event);
        else
            sending.usual(event);
        any = true;
    }
    if (!unsent_.empty())
        return any;
    const pn_bytes_t out = pn_connection_driver_write_buffer(&engine_);
    if (!out.size)
        return any;
    send(wrap({out.start, out.size}));
    pn_connection_driver_write_done(&engine_, out.size);
    return true;
}

// Whether there was any.
bool Peer::hear(std::string_view bytes) {
    const bool any = !bytes.empty();
    while (!bytes.empty()) {
        const pn_rwbytes_t in = pn_connection_driver_read_buffer(&engine_);
        const size_t n = std::min(in.size, bytes.size());
        if (!n)
            break;
        memcpy(in.start, bytes.data(), n);
        pn_connection_driver_read_done(&engine_, n);
        bytes.remove_prefix(n);
        speak();
    }
    return any;
}

bool Peer::listen() {
    if (endpoint_.over_tcp)
        return hear(std::exchange(received, ""));
    bool any = false;
    while (std::optional<Frame> frame = take_frame(&received)) {
        any = true;
        largest_message = std::max(largest_message, frame->payload.size());
        if (frame->opcode == kClose) {
            const auto *code = reinterpret_cast<const uint8_t *>(frame->payload.data());
            close_code = frame->payload.size() < 2 ? -1 : code[0] << 8 | code[1];
            if (close_code > 0)
                close_reason = frame->payload.substr(2);
            // Answers, and is told the end.
            send(conformance::frame({kClose}, frame->payload));
            continue;
        }
        if (frame->opcode == kPong) {
            pongs++;
            continue;
        }
        CHECK_EQ(frame->opcode, kBinary);
        messages++;
        hear(frame->payload);
    }
    return any;
}

void Peer::run() {
    for (bool moved = true; moved && driver_;) {
        moved = serve();
        if (speaking_)
            moved |= speak() | listen();
        if (quota)
            continue;
        if (!goes_on_reading) {
            cut();
        } else {
            lws_proton_driver_read_close(driver_);
            quota = SIZE_MAX;
            goes_on_reading = false;
            unsent_.clear();
            moved = true;
        }
    }
}

void Peer::run_until(const char *what, const std::function<bool()> &holds) {
    const e2e::Deadline deadline;
    for (;;) {
        run();
        const int ms = lws_proton_loop_tick(endpoint_.loop());
        run();
        if (holds())
            return;
        if (deadline.passed())
            FAIL(std::string("gave up waiting for ") + what + "; logged: " + lws_logged);
        if (ms < 0)
            FAIL(std::string("nothing is left to wait for: ") + what);
        // `holds` may have something to say meanwhile.
        poll(nullptr, 0, std::min(ms, 20));
    }
}

}  // namespace amqp_test
