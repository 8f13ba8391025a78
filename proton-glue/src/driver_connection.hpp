// SPDX-License-Identifier: MIT
#pragma once

#include "connection.hpp"
#include "mutex.hpp"

#include <proton/types.h>

#include <optional>
#include <string>

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
    // A connection that lws makes, to have the loop's dialer connect it.
    DriverConnection(Loop &loop, int tsi, const char *address);
    ~DriverConnection() override;

    // This thread is inside the dialer's function for it, and so has its pt.
    static bool dialing(const lws_proton_driver_t *driver) noexcept {
        return dialing_ && dialing_->driver == driver;
    }

    void set_wake(Wake wake, void *context) noexcept;
    // How connecting ended: 0 or an errno. May free the connection.
    void connected(int error) noexcept;

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

    // Nothing moves any more; `why` is for a client that was not connected yet. May free the
    // connection.
    void lose(int why = ECONNABORTED) noexcept;
    // The caller is gone. May free the connection.
    void release() noexcept;

    void kick() noexcept override;

private:
    int peer_name(sockaddr *sa, socklen_t *len) noexcept override;
    int local_name(sockaddr *sa, socklen_t *len) noexcept override;
    int connect(const sockaddr *sa, socklen_t len) noexcept override;

    // The dialer's function, while it runs: what it answers counts once it has returned.
    struct Dialing {
        lws_proton_driver_t *const driver;
        Dialing *const outer;
        std::optional<int> answer;
    };
    static thread_local Dialing *dialing_;

    lws_proton_driver_t *driver_ = nullptr;  // null: there is no holder yet, or he has freed it
    const bool client_ = false;
    const std::string address_;  // a client's, to connect to

    Mutex wake_mutex_{Rank::leaf};
    // Somebody moves bytes and calls service().
    bool driven_ LWS_PROTON_GUARDED_BY(wake_mutex_) = false;
    // He was woken, and has not called it since.
    bool woken_ LWS_PROTON_GUARDED_BY(wake_mutex_) = false;
    Wake wake_ LWS_PROTON_GUARDED_BY(wake_mutex_) = nullptr;
    void *context_ LWS_PROTON_GUARDED_BY(wake_mutex_) = nullptr;
};

}  // namespace lws_proton
