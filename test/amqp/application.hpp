// SPDX-License-Identifier: MIT
//
// Both sides of AMQP in a test, as Proton applications: one that serves and receives, one that
// connects and sends.
#pragma once

#include "check.hpp"

#include <lws_proton_amqp.h>

#include <proton/condition.h>
#include <proton/connection.h>
#include <proton/delivery.h>
#include <proton/event.h>
#include <proton/link.h>
#include <proton/sasl.h>
#include <proton/session.h>
#include <proton/transport.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <string>
#include <vector>

namespace amqp_test {

inline std::string condition_of(pn_transport_t *transport) {
    pn_condition_t *condition = pn_transport_condition(transport);
    const char *description = pn_condition_get_description(condition);
    return pn_condition_is_set(condition) ? std::string(pn_condition_get_name(condition)) + ": " +
                                                (description ? description : "")
                                          : "";
}

// What an application hears of its connections. Its handler is asked first, and what is usual is
// done then.
class Application {
public:
    std::vector<std::string> events;  // their names
    std::string condition;            // of the last connection that failed
    std::string remote_condition;     // ... that the peer closed
    std::atomic<int> begun{0}, failed{0}, ended{0};
    pn_connection_t *connection = nullptr;  // the last that began and has not ended
    std::function<void(pn_event_t *)> on;
    std::function<int(lws *, pn_connection_t *, pn_transport_t *)> on_accept;

    const lws_protocols *protocols() const { return protocols_; }
    // What else it says of its connections.
    lws_proton_amqp_t &amqp() { return amqp_; }
    size_t count(const std::string &event) const {
        return static_cast<size_t>(std::count(events.begin(), events.end(), event));
    }

protected:
    virtual ~Application() = default;
    virtual void usual(pn_event_t *event) = 0;

private:
    void hear(pn_event_t *event) {
        pn_transport_t *transport = pn_event_transport(event);
        switch (pn_event_type(event)) {
        case PN_CONNECTION_INIT:
            connection = pn_event_connection(event);
            begun++;
            break;
        case PN_CONNECTION_REMOTE_CLOSE:
            if (pn_condition_t *why = pn_connection_remote_condition(pn_event_connection(event));
                pn_condition_is_set(why))
                remote_condition = pn_condition_get_name(why);
            break;
        case PN_TRANSPORT_ERROR:
            condition = condition_of(transport);
            failed++;
            break;
        case PN_TRANSPORT_CLOSED:
            connection = nullptr;
            ended++;
            break;
        default:
            break;
        }
        if (keep_events)
            events.push_back(pn_event_type_name(pn_event_type(event)) + 3);  // less PN_
        if (on)
            on(event);
        usual(event);
    }

public:
    bool keep_events = true;

private:
    lws_proton_amqp_t says() {
        lws_proton_amqp_t amqp{};
        amqp.handle = [](void *self, pn_event_t *event) {
            static_cast<Application *>(self)->hear(event);
        };
        amqp.context = this;
        static const char *const everybody[] = {"*", nullptr};
        amqp.origins = everybody;
        amqp.accept = [](void *self, lws *wsi, pn_connection_t *c, pn_transport_t *t) {
            const auto &accept = static_cast<Application *>(self)->on_accept;
            return accept ? accept(wsi, c, t) : 0;
        };
        return amqp;
    }

    lws_proton_amqp_t amqp_ = says();
    const lws_protocols protocols_[4] = {
        {"http", lws_callback_http_dummy, 0, 0, 0, nullptr, 0},
        LWS_PROTON_AMQP_PROTOCOL("amqp", &amqp_),
        LWS_PROTON_AMQP_PROTOCOL("binary", &amqp_),
        LWS_PROTOCOL_LIST_TERM,
    };
};

// Opens what is opened, closes what is closed, and takes all messages.
class Receiving : public Application {
public:
    int credit = 100;
    bool require_auth = false;
    std::vector<std::string> messages;

protected:
    void usual(pn_event_t *event) override {
        pn_transport_t *transport = pn_event_transport(event);
        pn_connection_t *c = pn_event_connection(event);
        switch (pn_event_type(event)) {
        case PN_CONNECTION_BOUND:
            pn_transport_require_auth(transport, require_auth);
            break;
        case PN_CONNECTION_REMOTE_OPEN:
            pn_connection_set_container(c, "receiving");
            pn_connection_open(c);
            break;
        case PN_SESSION_REMOTE_OPEN:
            pn_session_open(pn_event_session(event));
            break;
        case PN_LINK_REMOTE_OPEN:
            pn_link_open(pn_event_link(event));
            if (pn_link_is_receiver(pn_event_link(event)))
                pn_link_flow(pn_event_link(event), credit);
            break;
        case PN_DELIVERY:
            if (pn_link_is_receiver(pn_event_link(event)))
                take(pn_event_delivery(event));
            break;
        case PN_CONNECTION_REMOTE_CLOSE:
            pn_connection_close(c);
            break;
        default:
            break;
        }
    }

private:
    void take(pn_delivery_t *delivery) {
        if (pn_delivery_partial(delivery))
            return;
        pn_link_t *link = pn_delivery_link(delivery);
        std::string bytes(pn_delivery_pending(delivery), '\0');
        pn_link_recv(link, bytes.data(), bytes.size());
        messages.push_back(std::move(bytes));
        pn_delivery_update(delivery, PN_ACCEPTED);
        pn_delivery_settle(delivery);
        pn_link_flow(link, 1);
    }
};

// Opens a connection, sends its messages, and closes once they are all settled.
class Sending : public Application {
public:
    std::vector<std::string> messages = {"one", "two", "three"};
    size_t sent = 0, settled = 0;
    bool close = true;

    // Also of a connection that is none of lws's.
    void usual(pn_event_t *event) override {
        pn_connection_t *c = pn_event_connection(event);
        switch (pn_event_type(event)) {
        case PN_CONNECTION_INIT: {
            pn_connection_set_container(c, "sending");
            pn_connection_open(c);
            pn_session_t *session = pn_session(c);
            pn_session_open(session);
            pn_link_t *sender = pn_sender(session, "sender");
            pn_terminus_set_address(pn_link_target(sender), "node");
            pn_link_open(sender);
            break;
        }
        case PN_LINK_FLOW:
            for (pn_link_t *link = pn_event_link(event);
                 pn_link_credit(link) > 0 && sent < messages.size(); sent++) {
                pn_delivery(link, pn_dtag(reinterpret_cast<const char *>(&sent), sizeof(sent)));
                pn_link_send(link, messages[sent].data(), messages[sent].size());
                pn_link_advance(link);
            }
            break;
        case PN_DELIVERY:
            if (!pn_delivery_updated(pn_event_delivery(event)))
                break;
            pn_delivery_settle(pn_event_delivery(event));
            if (++settled == messages.size() && close)
                pn_connection_close(c);
            break;
        case PN_CONNECTION_REMOTE_CLOSE:
            pn_connection_close(c);
            break;
        default:
            break;
        }
    }
};

}  // namespace amqp_test
