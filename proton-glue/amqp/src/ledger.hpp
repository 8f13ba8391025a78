// SPDX-License-Identifier: MIT
#pragma once

#include "frames.hpp"

#include <lws_proton_amqp.h>

#include <proton/event.h>
#include <proton/types.h>

#include <cstddef>
#include <cstdint>

struct pn_data_t;

namespace lws_proton::amqp {

// What Proton holds of one peer's making, in objects and bytes, never less than there is.
//
// Sessions and links are counted by their first and last events, and go with the output after that.
// Of deliveries and what has come of messages Proton has no such events: each transfer counts as a
// delivery and each byte as held, until a census looks at the sessions and links that there are. A
// census is due when so much has come that it costs little in comparison.
class Ledger {
public:
    explicit Ledger(const lws_proton_amqp_t &amqp) noexcept;
    ~Ledger();
    Ledger(const Ledger &) = delete;
    Ledger &operator=(const Ledger &) = delete;

    uint32_t sessions() const noexcept { return most_sessions_; }

    // The application has had the event.
    void handled(pn_event_t *event) noexcept;
    // Proton has these bytes.
    void received(size_t bytes, const Frames &frames) noexcept;
    // Proton was asked for output: what had ended and was settled is gone, and frames are there for
    // it, of which so many have ever been made.
    void produced(uint64_t frames) noexcept;
    // The peer has so many more bytes, or all that there were.
    void sent(size_t bytes, bool all) noexcept;

    // What Proton would hold too much of if it had what comes next; null: nothing. Cheap, and true
    // right after a census; otherwise it may find too much where there is not.
    struct Excess {
        const char *name, *description;
    };
    const Excess *excess(const Frames &next, uint32_t channel_max) const noexcept;
    // Whether a census is due before that is asked.
    bool wants_census(const Frames &next) const noexcept;
    // Counts what there is. `produced`: just now, so that nothing settled is left.
    void census(pn_connection_t *connection, bool produced) noexcept;
    size_t held() const noexcept;

private:
    size_t deliveries() const noexcept { return unsettled_ + arrived_ + waiting_; }
    size_t decoded(const Frames &next, uint64_t deliveries) const noexcept;
    void account() noexcept;

    const uint32_t most_sessions_, most_links_, most_deliveries_;
    const size_t most_bytes_;

    size_t charged_;  // to the process
    size_t sessions_ = 0, links_ = 0;
    size_t in_endpoints_ = 0;  // bytes of their names, addresses, maps, errors
    // ... and of all three, what has had its last event, and goes with the next output
    size_t ended_sessions_ = 0, ended_links_ = 0, ended_bytes_ = 0;
    size_t in_open_ = 0;    // bytes of maps in the peer's open
    size_t unsettled_ = 0;  // incoming deliveries, at the last census
    size_t waiting_ = 0;    // ... settled by then, that wait for output
    size_t outgoing_ = 0;   // deliveries of the application's, at the last census
    size_t arrived_ = 0;    // transfers since
    size_t incoming_ = 0;   // bytes unread by the application, at the last census
    size_t came_ = 0;       // bytes since
    size_t answers_ = 0;    // bytes that are made for the peer and not sent, roughly
    // Tags, states and annotations: a delivery's memory for them stays for the next one.
    // In all that there were, in the largest, and at most in those of now, of so many at once.
    size_t all_states_ = 0, largest_state_ = 0, in_states_ = 0, most_at_once_ = 0;
    uint64_t frames_ = 0, transfers_ = 0;  // ever, when last looked at
};

}  // namespace lws_proton::amqp
