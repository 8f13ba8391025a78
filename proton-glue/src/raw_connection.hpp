// SPDX-License-Identifier: MIT
#pragma once

#include "connection.hpp"
#include "mutex.hpp"

typedef struct pn_event_batch_t pn_event_batch_t;
typedef struct pn_event_t pn_event_t;
typedef struct pn_raw_connection_t pn_raw_connection_t;

namespace lws_proton {

class Listener;

// The raw-connection transport: the windows' bytes through a pn_raw_connection_t.
//
// Proton holds at most one slice of rx and, until the close, one slice of tx at a time. One of rx,
// because each recv uses up a whole buffer however little comes. One of tx, so that what lws writes
// meanwhile packs together behind it and goes out in the next.
class RawConnection final : public Connection {
public:
    // A connection that `listener` accepts as `raw`. It holds the listener until lws has seen it.
    RawConnection(Loop &loop, int tsi, pn_raw_connection_t *raw, Listener &listener) noexcept;

    // A connection that lws makes, to connect it.
    RawConnection(Loop &loop, int tsi) noexcept;

    // A connected one of the application's, in a batch of it.
    RawConnection(Loop &loop, int tsi, pn_raw_connection_t *raw) noexcept;

    // Serves a batch of this connection, of which `event` is the first, to its end. May free it.
    void batch(pn_event_batch_t *batch, pn_event_t *event) noexcept;

    // A raw connection that is, was, or was to be one of these.
    static bool ours(pn_raw_connection_t *raw) noexcept;
    // It is to be none, and closed by its first batch.
    static void refuse(pn_raw_connection_t *raw) noexcept;
    // Whose events a raw connection's are; null: nobody's.
    static RawConnection *of(pn_raw_connection_t *raw) noexcept;

    // The listener's accept: it is lws's now.
    void taken() noexcept { taken_ = true; }

    void kick() noexcept override;
    bool abort() noexcept override;

    // What does that in Proton. Null: nothing, as up to 0.40; patches/qpid-proton adds it.
    static void (*proton_abort)(pn_raw_connection_t *);

private:
    // Less free space than this is not worth a read.
    static constexpr uint32_t kLeastRead = 1024;

    void on_event(pn_event_t *event) noexcept;
    void offer_to_lws() noexcept;
    void take_back() noexcept;
    void detach() noexcept;

    void attach(pn_raw_connection_t *raw) noexcept;
    void flush() noexcept;
    void close_raw() noexcept;
    bool give_tx(uint32_t most) noexcept;
    void give_rx() noexcept;

    int peer_name(sockaddr *sa, socklen_t *len) noexcept override;
    int local_name(sockaddr *sa, socklen_t *len) noexcept override;
    int connect(const sockaddr *sa, socklen_t len) noexcept override;

    Mutex wake_mutex_{Rank::leaf};  // raw_ may be woken while it is held
    pn_raw_connection_t *raw_ = nullptr;
    std::atomic<bool> kicked_{false};  // a wake is on its way
    Listener *listener_ = nullptr;     // until lws has been offered the connection
    bool taken_ = false;
    std::atomic<bool> connected_{false};
    bool raw_closed_ = false;  // Proton was told to close; written while wake_mutex_ is held
    bool raw_ended_ = false;   // Proton was told to end our stream
    bool rx_lent_ = false;
    uint32_t tx_lent_ = 0;  // bytes
    bool rx_busy_ = false;  // the last read filled what there was
};

}  // namespace lws_proton
