// proton-raw-echo: what Proton costs by itself. A raw connection's bytes go back from the buffers
// that they were read into: no lws, no WebSocket, no copy. `ws-load --raw` sends it the bytes that it
// sends to a WebSocket server.
//
//   stdout  one line, "ready: tcp://localhost:PORT/", once it serves
//   exit    0 after SIGINT or SIGTERM, 1 when it cannot serve, 2 on bad usage
//
// SPDX-License-Identifier: MIT
#include <getopt.h>

#include <proton/condition.h>
#include <proton/event.h>
#include <proton/listener.h>
#include <proton/netaddr.h>
#include <proton/proactor.h>
#include <proton/raw_connection.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

namespace {

constexpr int kBadUsage = 2;
// As the windows of the glue: as much is read, and written, at a time.
constexpr uint32_t kBufferSize = 64 * 1024;
// One being read into, the others being written.
constexpr size_t kBuffers = 4;
constexpr int kBacklog = 1024;

pn_proactor_t *proactor;
volatile std::sig_atomic_t stopping;

class Echo {
public:
    void handle(pn_raw_connection_t *raw, pn_event_type_t type) {
        std::array<pn_raw_buffer_t, kBuffers> taken;
        switch (type) {
        case PN_RAW_CONNECTION_READ: {
            const size_t n = pn_raw_connection_take_read_buffers(raw, taken.data(), taken.size());
            reading_ -= n;
            for (size_t i = 0; i < n; ++i)
                // The last one is empty: the end of the stream.
                if (!taken[i].size || !pn_raw_connection_write_buffers(raw, &taken[i], 1))
                    put_back(taken[i]);
            break;
        }
        case PN_RAW_CONNECTION_WRITTEN: {
            const size_t n =
                pn_raw_connection_take_written_buffers(raw, taken.data(), taken.size());
            for (size_t i = 0; i < n; ++i)
                put_back(taken[i]);
            break;
        }
        case PN_RAW_CONNECTION_CLOSED_READ:
            // Proton writes what it has first.
            pn_raw_connection_close(raw);
            return;
        default:
            break;
        }
        read(raw);
    }

private:
    // One buffer at a time: with two, Proton would try to read into the second as well, each time.
    void read(pn_raw_connection_t *raw) {
        if (reading_ || pn_raw_connection_is_read_closed(raw))
            return;
        pn_raw_buffer_t buffer{};
        if (free_count_) {
            buffer = free_[--free_count_];
        } else if (made_count_ < kBuffers) {
            made_[made_count_].reset(new char[kBufferSize]);
            buffer.bytes = made_[made_count_++].get();
        } else {
            return;
        }
        buffer.capacity = kBufferSize;
        buffer.size = buffer.offset = 0;
        reading_ += pn_raw_connection_give_read_buffers(raw, &buffer, 1);
    }

    void put_back(const pn_raw_buffer_t &buffer) { free_[free_count_++] = buffer; }

    size_t reading_ = 0;
    std::array<pn_raw_buffer_t, kBuffers> free_{};
    size_t free_count_ = 0;
    std::array<std::unique_ptr<char[]>, kBuffers> made_;
    size_t made_count_ = 0;
};

void accept(pn_listener_t *listener) {
    pn_raw_connection_t *raw = pn_raw_connection();
    if (!raw)
        return;
    pn_raw_connection_set_context(raw, new Echo);
    pn_listener_raw_accept(listener, raw);
}

void handle_raw(pn_raw_connection_t *raw, pn_event_type_t type) {
    auto *echo = static_cast<Echo *>(pn_raw_connection_get_context(raw));
    if (!echo)
        return;
    if (type == PN_RAW_CONNECTION_DISCONNECTED) {
        pn_raw_connection_set_context(raw, nullptr);
        delete echo;
        return;
    }
    echo->handle(raw, type);
}

void ready(pn_listener_t *listener) {
    char port[16];
    pn_netaddr_host_port(pn_listener_addr(listener), nullptr, 0, port, sizeof(port));
    printf("ready: tcp://localhost:%s/\n", port);
    fflush(stdout);
}

// False: it cannot serve.
bool handle(pn_event_t *event) {
    const pn_event_type_t type = pn_event_type(event);
    if (pn_raw_connection_t *raw = pn_event_raw_connection(event)) {
        handle_raw(raw, type);
        return true;
    }
    switch (type) {
    case PN_LISTENER_OPEN:
        ready(pn_event_listener(event));
        return true;
    case PN_LISTENER_ACCEPT:
        accept(pn_event_listener(event));
        return true;
    case PN_LISTENER_CLOSE:
        fprintf(stderr, "proton-raw-echo: cannot listen: %s\n",
                pn_condition_get_description(pn_listener_condition(pn_event_listener(event))));
        return false;
    default:
        return true;
    }
}

int serve(int port) {
    const auto stop = [](int) {
        stopping = 1;
        pn_proactor_interrupt(proactor);
    };
    proactor = pn_proactor();
    std::signal(SIGINT, stop);
    std::signal(SIGTERM, stop);
    pn_proactor_listen(proactor, pn_listener(), ("127.0.0.1:" + std::to_string(port)).c_str(),
                       kBacklog);
    bool good = true;
    while (good && !stopping) {
        pn_event_batch_t *batch = pn_proactor_wait(proactor);
        while (pn_event_t *event = pn_event_batch_next(batch))
            good = handle(event) && good;
        pn_proactor_done(proactor, batch);
    }
    // What is still connected ends with the process: Proton would leak it.
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

}  // namespace

int main(int argc, char **argv) {
    static const option kOptions[] = {{"port", required_argument, nullptr, 'p'}, {}};
    long port = 7684;
    int found = 0;
    while ((found = getopt_long(argc, argv, "", kOptions, nullptr)) >= 0) {
        char *end = nullptr;
        port = found == 'p' ? std::strtol(optarg, &end, 10) : -1;
        if (!end || *end || end == optarg || port < 0 || port > 65535)
            break;
    }
    if (found >= 0 || optind != argc) {
        fprintf(stderr, "usage: proton-raw-echo [--port N]    (0 picks a free one)\n");
        return kBadUsage;
    }
    return serve(static_cast<int>(port));
}
