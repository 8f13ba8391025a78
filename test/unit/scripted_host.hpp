// Plays lws: what the loop calls (the host), and lws's side of each connection (a Wsi).
#pragma once

#include "lws_proton_host.h"
#include "timers.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace scripted {

// Bytes that tell where they belong, for all the windows' sizes.
inline std::string pattern(size_t n, size_t from = 0) {
    std::string bytes(n, '\0');
    for (size_t i = 0; i < n; i++)
        bytes[i] = static_cast<char>((from + i) * 2654435761u >> 24);
    return bytes;
}

// lws's side of one connection. What it does when it is called is `on_service`; a Wsi that is told
// nothing behaves as lws does: it reads what is there, writes what it has and asks for WRITE while
// it has more, and closes when the peer has ended or the connection is lost.
class Wsi {
public:
    explicit Wsi(lws_proton_conn *connection) : conn(connection) {
        conn->wsi = reinterpret_cast<lws *>(this);
    }
    Wsi(const Wsi &) = delete;
    Wsi &operator=(const Wsi &) = delete;

    static Wsi *of(lws_proton_conn *c) { return reinterpret_cast<Wsi *>(c->wsi); }

    std::function<void(Wsi &, int events)> on_service = as_lws;

    lws_proton_conn *conn;   // null: closed
    std::vector<int> calls;  // the events of each
    std::string received;
    std::string to_send;
    bool ended = false;  // recv said 0
    bool lost = false;   // recv said ECONNRESET
    bool reads_all = true;
    bool closes_at_end = true;  // of stream, or when it is lost

    static void as_lws(Wsi &wsi, int events) { wsi.serve(events); }

    void serve(int events) {
        if (events & LWS_PROTON_WRITE)
            write();
        if (conn && (events & LWS_PROTON_READ))
            read();
        if (conn && (events & LWS_PROTON_HANGUP) && closes_at_end)
            close();
    }

    // As much as there is, or one recv.
    void read() {
        while (recv(4096) > 0 && reads_all) {
        }
        if ((ended || lost) && closes_at_end)
            close();
    }

    // Asks for WRITE for as long as something is left.
    void write() {
        if (!to_send.empty()) {
            const ssize_t n = send(to_send);
            to_send.erase(0, n > 0 ? n : 0);
        }
        enable(LWS_PROTON_WRITE, !to_send.empty());
    }

    // What recv said; -errno if it failed.
    ssize_t recv(size_t most) {
        std::string bytes(most, '\0');
        ssize_t n = conn->ops->recv(conn, bytes.data(), most);
        if (n < 0)
            n = -errno;
        ended |= n == 0 && most;
        lost |= n == -ECONNRESET;
        received.append(bytes, 0, n > 0 ? n : 0);
        return n;
    }

    ssize_t send(std::string_view bytes) {
        const ssize_t n = conn->ops->send(conn, bytes.data(), bytes.size());
        return n < 0 ? -errno : n;
    }

    // As recv, but the bytes stay.
    ssize_t peek(size_t most, std::string *seen = nullptr) {
        std::string bytes(most, '\0');
        const ssize_t n = conn->ops->peek(conn, bytes.data(), most);
        if (seen)
            *seen = bytes.substr(0, n > 0 ? n : 0);
        return n < 0 ? -errno : n;
    }

    // 0, or -errno. The address in numbers.
    int connect(const char *address, uint16_t port) {
        sockaddr_in v4 = {};
        sockaddr_in6 v6 = {};
        v4.sin_family = AF_INET;
        v6.sin6_family = AF_INET6;
        v4.sin_port = v6.sin6_port = htons(port);
        if (inet_pton(AF_INET, address, &v4.sin_addr) == 1)
            return connect(v4);
        inet_pton(AF_INET6, address, &v6.sin6_addr);
        return connect(v6);
    }
    template <class Address>
    int connect(const Address &address) {
        const auto *sa = reinterpret_cast<const sockaddr *>(&address);
        return conn->ops->connect(conn, sa, sizeof(address)) ? -errno : 0;
    }
    int connect_error() { return conn->ops->connect_error(conn); }

    void enable(int events, bool start = true) { conn->ops->enable(conn, start, events); }
    void disable(int events) { enable(events, false); }
    int shutdown() { return conn->ops->shutdown(conn) ? -errno : 0; }
    size_t tx_room() { return conn->ops->tx_room(conn); }

    void close() {
        lws_proton_conn *c = conn;
        conn = nullptr;
        c->ops->close(c);
    }

    size_t count(int events) const { return std::count(calls.begin(), calls.end(), events); }
};

class Host {
public:
    const lws_proton_host_t *table() const { return &table_; }

    // Takes a connection over, enabled for READ, as lws does.
    Wsi &adopt(lws_proton_conn *c) {
        wsis.push_back(std::make_unique<Wsi>(c));
        Wsi &wsi = *wsis.back();
        if (on_adopt)
            on_adopt(wsi);
        if (wsi.conn)
            wsi.enable(LWS_PROTON_READ);
        return wsi;
    }

    // The test's functions may refer to what is about to end.
    void forget_the_script() {
        on_adopt = nullptr;
        on_pending = nullptr;
        on_after = nullptr;
        on_resolved = nullptr;
        for (auto &wsi : wsis)
            wsi->on_service = Wsi::as_lws;
    }

    std::vector<std::unique_ptr<Wsi>> wsis;
    std::function<void(Wsi &)> on_adopt;
    std::function<int64_t(Wsi &)> on_pending;
    std::function<int64_t(int tsi)> on_after;  // µs from now; < 0: no deadline
    int64_t new_deadline = -1;                 // the same, set while nothing is served
    std::function<void(void *cookie, int error, const addrinfo *)> on_resolved;
    std::vector<std::string> log;
    std::vector<std::pair<int, int>> drains;  // of which pt, and the phase
    size_t destroys = 0;
    size_t calls_without_wsi = 0;  // of service: must not be

private:
    static Host &self(void *user) { return *static_cast<Host *>(user); }

    static void service(void *user, lws_proton_conn *c, int events) {
        Wsi *wsi = Wsi::of(c);
        if (!wsi) {
            self(user).calls_without_wsi++;
            return;
        }
        wsi->calls.push_back(events);
        wsi->on_service(*wsi, events);
    }

    static int64_t pending(void *user, lws_proton_conn *c) {
        return c->wsi && self(user).on_pending ? self(user).on_pending(*Wsi::of(c)) : 0;
    }

    static int64_t after(void *user, int tsi) {
        return self(user).on_after ? at(self(user).on_after(tsi)) : INT64_MAX;
    }

    static int64_t deadline(void *user, int) { return at(self(user).new_deadline); }

    static int64_t at(int64_t from_now) {
        return from_now < 0 ? INT64_MAX : lws_proton::now_us() + from_now;
    }

    static void drain(void *user, int tsi, int phase) { self(user).drains.push_back({tsi, phase}); }
    static void write_log(void *user, int, const char *line) { self(user).log.emplace_back(line); }

    static void resolved(void *user, void *cookie, int error, addrinfo *result) {
        if (self(user).on_resolved)
            self(user).on_resolved(cookie, error, result);
        if (result)
            freeaddrinfo(result);
    }

    static void destroy(void *user) { self(user).destroys++; }

    const lws_proton_host_t table_ = {service, pending, after, deadline, resolved, destroy, drain,
                                      write_log};
};

}  // namespace scripted
