// SPDX-License-Identifier: MIT
#pragma once

#include "connection.hpp"

#include <proton/types.h>

#include <atomic>
#include <mutex>

namespace lws_proton {
class DriverConnection;
}

// What the caller holds. The connection behind it can go first: when it is lost and lws closes it.
struct lws_proton_driver_t {
    lws_proton::Loop *loop;
    const int tsi;
    lws_proton::DriverConnection *connection;  // read and written with the pt serialized
};

namespace lws_proton {

// The driver transport: the windows' bytes are moved by the caller, as with Proton's
// pn_connection_driver_t. lws_proton.h says what each call means; the pt is serialized in each.
class DriverConnection final : public Connection {
public:
    using Wake = void (*)(void *);

    DriverConnection(Loop &loop, int tsi, lws_proton_driver_t &driver, Wake wake,
                     void *context) noexcept;
    ~DriverConnection() override;

    pn_rwbytes_t read_buffer() noexcept;
    void read_done(size_t n) noexcept;
    void read_close() noexcept { on(Event::peer_close); }
    bool read_closed() const noexcept { return !readable_state(); }
    pn_bytes_t write_buffer() const noexcept;
    void write_done(size_t n) noexcept;
    bool write_closed() const noexcept;
    bool service() noexcept;
    // Also if it was lost before lws had it.
    bool finished() const noexcept {
        return state() == State::closed || (state() == State::lost && !wsi);
    }

    // Nothing moves any more. May free the connection.
    void lose() noexcept;
    // The caller is gone. May free the connection.
    void release() noexcept;

    void kick() noexcept override;

private:
    int peer_name(sockaddr *sa, socklen_t *len) noexcept override;
    int local_name(sockaddr *sa, socklen_t *len) noexcept override;

    lws_proton_driver_t *driver_;  // null: its holder has freed it
    std::mutex wake_mutex_;        // guards the next two
    Wake wake_;                    // null: nobody moves bytes any more
    bool woken_ = false;           // wake_ was called and service() was not, since
    void *const context_;
};

}  // namespace lws_proton
