// SPDX-License-Identifier: MIT
#pragma once

#include "messages.hpp"

#include <proton/event.h>
#include <proton/link.h>

#include <cstdint>
#include <string>

namespace amqp_load {

class Load;

// A connection of the load, whatever carries it. What is wrong is thrown, as a std::runtime_error.
class Peer {
public:
    explicit Peer(Load &load) : load_(load) {}
    virtual ~Peer() = default;

    void handle(pn_event_t *event);
    // Has it look at what the load is up to.
    void wake();
    // Of the messages that it has sent or received.
    uint64_t bytes() const { return bytes_; }

protected:
    // The connection is open.
    virtual void opened(pn_session_t *session) = 0;
    virtual void go_on(pn_link_t *link, pn_delivery_t *delivery) = 0;
    virtual const char *name() const = 0;
    // It has done its part.
    void finish();

    Load &load_;
    uint64_t bytes_ = 0;

private:
    void lost(pn_condition_t *why, const char *what, bool wanted) const;

    pn_connection_t *connection_ = nullptr;
    bool finished_ = false;
};

class Sender : public Peer {
    using Peer::Peer;
    void opened(pn_session_t *session) override;
    void go_on(pn_link_t *link, pn_delivery_t *delivery) override;
    const char *name() const override { return "sender"; }

    uint64_t sent_ = 0, accepted_ = 0;
};

class Receiver : public Peer {
    using Peer::Peer;
    void opened(pn_session_t *session) override;
    void go_on(pn_link_t *link, pn_delivery_t *delivery) override;
    const char *name() const override { return "receiver"; }
    void give_credit(pn_link_t *link) const;

    uint64_t received_ = 0;
    std::string bytes_of_one_;
};

class Idle : public Peer {
    using Peer::Peer;
    void opened(pn_session_t *session) override;
    void go_on(pn_link_t *, pn_delivery_t *) override {}
    const char *name() const override { return "idle connection"; }
};

}  // namespace amqp_load
