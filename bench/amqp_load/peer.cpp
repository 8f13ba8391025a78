// SPDX-License-Identifier: MIT
#include "peer.hpp"

#include "load.hpp"

#include <proton/condition.h>
#include <proton/connection.h>
#include <proton/delivery.h>
#include <proton/disposition.h>
#include <proton/session.h>
#include <proton/transport.h>

#include <algorithm>
#include <stdexcept>

namespace amqp_load {

namespace {

// What a sender leaves to Proton at a time, and a message.
constexpr size_t kOutgoing = 256 * 1024;

void attach(pn_link_t *link, const Options &options) {
    const char *queue = options.queue.c_str();
    pn_terminus_set_address(pn_link_source(link), queue);
    pn_terminus_set_address(pn_link_target(link), queue);
    pn_link_set_snd_settle_mode(link, options.settled ? PN_SND_SETTLED : PN_SND_UNSETTLED);
    pn_link_open(link);
}

std::string words_of(pn_condition_t *condition) {
    if (!pn_condition_is_set(condition))
        return "";
    std::string words = std::string(": ") + pn_condition_get_name(condition);
    if (const char *description = pn_condition_get_description(condition))
        words += std::string(": ") + description;
    // OpenSSL's end with one.
    if (words.back() == '\n')
        words.pop_back();
    return words;
}

void check_outcome(pn_delivery_t *delivery) {
    const char *what = nullptr;
    switch (pn_delivery_remote_state(delivery)) {
    case PN_ACCEPTED:
        return;
    case PN_REJECTED:
        what = "rejected";
        break;
    case PN_RELEASED:
    case PN_MODIFIED:
        what = "released";
        break;
    default:
        what = "settled without an outcome";
    }
    uint64_t number;
    const pn_delivery_tag_t tag = pn_delivery_tag(delivery);
    std::copy(tag.start, tag.start + sizeof number, reinterpret_cast<char *>(&number));
    throw std::runtime_error("message " + std::to_string(number) + " was " + what +
                             words_of(pn_disposition_condition(pn_delivery_remote(delivery))));
}

}  // namespace

void Peer::lost(pn_condition_t *why, const char *what, bool wanted) const {
    if (!wanted || pn_condition_is_set(why))
        throw std::runtime_error(std::string("the ") + name() + what + words_of(why));
}

void Peer::wake() {
    if (connection_)
        lws_proton_amqp_wake(connection_);
}

void Peer::finish() {
    finished_ = true;
    pn_connection_close(connection_);
    load_.finished();
}

void Peer::handle(pn_event_t *event) {
    pn_connection_t *c = pn_event_connection(event);
    pn_transport_t *transport = pn_event_transport(event);
    pn_link_t *link = pn_event_link(event);
    switch (pn_event_type(event)) {
    case PN_CONNECTION_INIT:
        connection_ = c;
        break;
    case PN_CONNECTION_REMOTE_OPEN: {
        pn_session_t *session = pn_session(c);
        pn_session_open(session);
        opened(session);
        break;
    }
    case PN_LINK_REMOTE_OPEN:
        load_.ready();
        break;
    case PN_LINK_FLOW:
    case PN_DELIVERY:
        // What was wrong once would be so again.
        if (!finished_ && !load_.failed())
            go_on(link, pn_event_delivery(event));
        break;
    case PN_CONNECTION_WAKE:
        if (load_.failed()) {
            pn_transport_close_tail(transport);
            pn_transport_close_head(transport);
        } else if (load_.ending() && !finished_) {
            finish();
        }
        break;
    case PN_LINK_REMOTE_DETACH:
    case PN_LINK_REMOTE_CLOSE:
        lost(pn_link_remote_condition(link), "'s link was ended by the broker",
             pn_link_state(link) & PN_LOCAL_CLOSED);
        if (!finished_)
            finish();
        break;
    case PN_SESSION_REMOTE_CLOSE:
        lost(pn_session_remote_condition(pn_event_session(event)),
             "'s session was ended by the broker", finished_);
        break;
    case PN_CONNECTION_REMOTE_CLOSE:
        pn_connection_close(c);
        lost(pn_connection_remote_condition(c), " was closed by the broker", finished_);
        break;
    case PN_TRANSPORT_ERROR:
        lost(pn_transport_condition(transport), " has lost its connection", finished_);
        break;
    case PN_TRANSPORT_CLOSED:
        connection_ = nullptr;
        load_.ended();
        lost(pn_transport_condition(transport), " has lost its connection", finished_);
        break;
    default:
        break;
    }
}

void Sender::opened(pn_session_t *session) {
    attach(pn_sender(session, "sender"), load_.options());
}

void Sender::go_on(pn_link_t *link, pn_delivery_t *delivery) {
    const Options &options = load_.options();
    if (delivery && pn_delivery_updated(delivery) &&
        (pn_delivery_settled(delivery) || pn_delivery_remote_state(delivery) > PN_RECEIVED)) {
        check_outcome(delivery);
        pn_delivery_settle(delivery);
        accepted_++;
        load_.progress();
    }
    while (sent_ < options.messages && pn_link_credit(link) > 0 &&
           pn_session_outgoing_bytes(pn_link_session(link)) < kOutgoing) {
        pn_delivery_t *d =
            pn_delivery(link, pn_dtag(reinterpret_cast<const char *>(&sent_), sizeof sent_));
        const std::string_view message = load_.messages().encoded(sent_);
        pn_link_send(link, message.data(), message.size());
        pn_link_advance(link);
        if (options.settled)
            pn_delivery_settle(d);
        bytes_ += load_.messages().size_of(sent_++);
        load_.progress();
    }
    // Of settled messages the broker says whether they were taken by how it ends the link.
    if (options.settled && sent_ == options.messages)
        pn_link_close(link);
    else if (accepted_ == options.messages)
        finish();
}

void Receiver::opened(pn_session_t *session) {
    pn_link_t *link = pn_receiver(session, "receiver");
    attach(link, load_.options());
    give_credit(link);
}

// Not for more than are due: they would be somebody else's.
void Receiver::give_credit(pn_link_t *link) const {
    const Options &options = load_.options();
    const auto due = static_cast<uint64_t>(options.credit);
    const int wanted = static_cast<int>(std::min(due, options.messages - received_));
    if (pn_link_credit(link) <= wanted / 2)
        pn_link_flow(link, wanted - pn_link_credit(link));
}

void Receiver::go_on(pn_link_t *link, pn_delivery_t *) {
    pn_delivery_t *d;
    while ((d = pn_link_current(link)) && pn_delivery_readable(d) && !pn_delivery_partial(d)) {
        if (pn_delivery_aborted(d))
            throw std::runtime_error("message " + std::to_string(received_) + " was aborted");
        const size_t size = pn_delivery_pending(d);
        if (bytes_of_one_.size() < size)
            bytes_of_one_.resize(size);
        pn_link_recv(link, bytes_of_one_.data(), size);
        load_.messages().check(received_, {bytes_of_one_.data(), size});
        pn_delivery_update(d, PN_ACCEPTED);
        pn_delivery_settle(d);
        bytes_ += load_.messages().size_of(received_++);
        load_.progress();
    }
    if (received_ == load_.options().messages)
        finish();
    else
        give_credit(link);
}

void Idle::opened(pn_session_t *) {
    load_.ready();
}

}  // namespace amqp_load
