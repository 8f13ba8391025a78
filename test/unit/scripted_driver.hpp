// The driver transport in a test: a loop whose lws is scripted, and drivers whose bytes the test
// moves.
#pragma once

#include "check.hpp"
#include "scripted_host.hpp"
#include "test_main.hpp"

#include <cstring>
#include <string>
#include <string_view>

namespace scripted {

class DriverLoop {
public:
    explicit DriverLoop(int threads = 1)
        : loop(lws_proton_loop_new(threads, host.table(), &host, nullptr)) {
        CHECK(loop);
    }
    ~DriverLoop() { lws_proton_loop_free(loop); }

    lws_proton_stats_t stats() { return lws_proton_loop_stats(loop); }

    // All drivers are freed: once lws has been told and has closed, nothing may be left.
    void check_nothing_left() {
        lws_proton_loop_turn(loop, 0, 0);
        for (auto &wsi : host.wsis)
            if (wsi->conn)
                wsi->close();
        CHECK_EQ(host.calls_without_wsi, 0u);
        CHECK_EQ(stats().connections, 0u);
        CHECK_EQ(stats().lingering, 0u);
    }

    Host host;
    lws_proton_loop_t *const loop;
};

// A driver, its connection adopted unless the test says otherwise.
class Driver {
public:
    enum Adopt { adopted, not_adopted };

    explicit Driver(DriverLoop &loop, Adopt adopt = adopted, int tsi = 0)
        : loop_(loop),
          d_(lws_proton_driver_new(
              loop.loop, tsi, [](void *self) { static_cast<Driver *>(self)->wakes++; }, this)) {
        CHECK(d_);
        if (adopt == adopted) {
            wsi_ = &loop.host.adopt(lws_proton_driver_conn(d_));
            service();  // that it is enabled for READ is no news any more
            wakes = 0;
        }
    }
    ~Driver() {
        loop_.host.forget_the_script();
        free();
    }
    Driver(const Driver &) = delete;
    Driver &operator=(const Driver &) = delete;

    void free() {
        lws_proton_driver_free(d_);
        d_ = nullptr;
    }

    lws_proton_driver_t *get() { return d_; }
    lws_proton_conn *conn() { return lws_proton_driver_conn(d_); }
    Wsi &wsi() { return *wsi_; }

    size_t read_room() { return lws_proton_driver_read_buffer(d_).size; }

    // Puts into the rx window what fits; returns how much that is.
    size_t receive(std::string_view bytes) {
        size_t done = 0;
        while (done < bytes.size()) {
            const pn_rwbytes_t space = lws_proton_driver_read_buffer(d_);
            const size_t n = std::min(space.size, bytes.size() - done);
            if (!n)
                break;
            memcpy(space.start, bytes.data() + done, n);
            lws_proton_driver_read_done(d_, n);
            done += n;
        }
        return done;
    }

    // Takes out of the tx window what is there, at most that much.
    std::string transmit(size_t most = SIZE_MAX) {
        std::string bytes;
        while (bytes.size() < most) {
            const pn_bytes_t next = lws_proton_driver_write_buffer(d_);
            const size_t n = std::min(next.size, most - bytes.size());
            if (!n)
                break;
            bytes.append(next.start, n);
            lws_proton_driver_write_done(d_, n);
        }
        return bytes;
    }

    void read_close() { lws_proton_driver_read_close(d_); }
    bool read_closed() { return lws_proton_driver_read_closed(d_); }
    void write_close() { lws_proton_driver_write_close(d_); }
    bool write_closed() { return lws_proton_driver_write_closed(d_); }
    bool service() { return lws_proton_driver_service(d_); }
    bool finished() { return lws_proton_driver_finished(d_); }

    size_t wakes = 0;

private:
    DriverLoop &loop_;
    lws_proton_driver_t *d_;
    Wsi *wsi_ = nullptr;
};

// A test with a loop of its own, after which the loop must hold nothing.
template <void (*Body)(DriverLoop &)>
void in_driver_loop() {
    DriverLoop loop;
    Body(loop);
    loop.check_nothing_left();
}

}  // namespace scripted

#define DRIVER_TEST(name)                                                                          \
    { #name, e2e::run_body < scripted::in_driver_loop < name>>, nullptr, nullptr, nullptr }
