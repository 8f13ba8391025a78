// SPDX-License-Identifier: MIT
#include "ledger.hpp"

#include "memory.hpp"

#include "../../src/plain_pointer.hpp"

#include <proton/codec.h>
#include <proton/condition.h>
#include <proton/connection.h>
#include <proton/delivery.h>
#include <proton/disposition.h>
#include <proton/link.h>
#include <proton/object.h>
#include <proton/session.h>
#include <proton/terminus.h>

#include <algorithm>
#include <cstring>

namespace lws_proton::amqp {

namespace {

PN_HANDLE(kFinal)

// What Proton 0.37 allocates for each (mallinfo2() around a hundred of them, x86-64), and places in
// hash tables and lists.
constexpr size_t kSession = 4096;   // 3,463 bytes
constexpr size_t kLink = 2560;      // 2,002 bytes, and a condition
constexpr size_t kDelivery = 1024;  // 800 bytes
// A value that Proton has decoded, of which one takes a byte in a frame; sizeof(pni_node_t). The
// array of them grows by doubling.
constexpr size_t kNode = 72;
// A frame that Proton makes of what has ended: the shortest are 20 to 40 bytes.
constexpr size_t kAnswer = 32;
// Of all connections, in steps of so much.
constexpr size_t kStep = 64 * 1024;
// More deliveries than there can be.
constexpr uint64_t kMany = UINT32_MAX;
// Delivery tags are this long at most, by AMQP.
constexpr size_t kTag = 32;

size_t or_default(size_t set, size_t otherwise) noexcept {
    return set ? set : otherwise;
}

size_t nodes(pn_data_t *data) noexcept {
    return pn_data_size(data);
}

size_t length(const char *text) noexcept {
    return text ? strlen(text) : 0;
}

size_t cost(pn_terminus_t *terminus) noexcept {
    return length(pn_terminus_get_address(terminus)) +
           kNode * (nodes(pn_terminus_properties(terminus)) +
                    nodes(pn_terminus_capabilities(terminus)) +
                    nodes(pn_terminus_outcomes(terminus)) + nodes(pn_terminus_filter(terminus)));
}

// What the peer has had made of a link. The application has copied it, as a rule.
size_t cost(pn_link_t *link) noexcept {
    pn_data_t *properties = pn_link_remote_properties(link);
    return length(pn_link_name(link)) + 2 * cost(pn_link_remote_source(link)) +
           2 * cost(pn_link_remote_target(link)) + (properties ? kNode * nodes(properties) : 0);
}

size_t cost(pn_condition_t *condition) noexcept {
    return kNode * nodes(pn_condition_info(condition)) + length(pn_condition_get_name(condition)) +
           length(pn_condition_get_description(condition));
}

// What stays in a delivery beyond its own size.
size_t cost(pn_delivery_t *delivery) noexcept {
    const size_t tag = pn_delivery_tag(delivery).size;
    size_t bytes = tag > kTag ? tag : 0;
    pn_disposition_t *remote = pn_delivery_remote(delivery);
    switch (pn_disposition_type(remote)) {
    case 0:
        break;
    case PN_REJECTED:
        bytes += cost(pn_disposition_condition(remote));
        bytes += kNode * nodes(pn_disposition_data(remote));
        break;
    case PN_MODIFIED:
        bytes += kNode * nodes(pn_disposition_annotations(remote));
        bytes += kNode * nodes(pn_disposition_data(remote));
        break;
    default:
        bytes += kNode * nodes(pn_disposition_data(remote));
    }
    return bytes;
}

// Whether it is the last event of something for the first time. There is a second one if it ended
// before Proton had told the peer of it: it was there all the while.
bool is_final(pn_record_t *attachments) noexcept {
    if (pn_record_get(attachments, kFinal))
        return false;
    pn_record_def(attachments, kFinal, plain_pointer());
    pn_record_set(attachments, kFinal, attachments);
    return true;
}

void take(size_t &from, size_t what) noexcept {
    from -= std::min(from, what);
}

constexpr char kLimit[] = "amqp:resource-limit-exceeded";
constexpr Ledger::Excess kSessions = {"amqp:connection:framing-error", "too many sessions"};
constexpr Ledger::Excess kLinks = {kLimit, "too many links"};
constexpr Ledger::Excess kDeliveries = {kLimit, "too many unsettled deliveries"};
constexpr Ledger::Excess kBytes = {kLimit, "the peer makes too much be held for it"};
constexpr Ledger::Excess kProcess = {kLimit, "no memory for so much of one peer"};
constexpr Ledger::Excess kDisposition = {kLimit, "too large a state for so many deliveries"};

}  // namespace

Ledger::Ledger(const lws_proton_amqp_t &amqp) noexcept
    : most_sessions_(std::min<uint32_t>(
          static_cast<uint32_t>(or_default(amqp.sessions, LWS_PROTON_AMQP_SESSIONS)), 1 << 15)),
      most_links_(static_cast<uint32_t>(or_default(amqp.links, LWS_PROTON_AMQP_LINKS))),
      most_deliveries_(
          static_cast<uint32_t>(or_default(amqp.deliveries, LWS_PROTON_AMQP_DELIVERIES))),
      most_bytes_(or_default(amqp.bytes, LWS_PROTON_AMQP_BYTES)),
      charged_(LWS_PROTON_AMQP_CONNECTION) {
    ProcessMemory::add(charged_);
}

Ledger::~Ledger() {
    ProcessMemory::subtract(charged_);
}

void Ledger::handled(pn_event_t *event) noexcept {
    switch (pn_event_type(event)) {
    case PN_SESSION_INIT:
        sessions_++;
        break;
    case PN_SESSION_FINAL: {
        pn_session_t *session = pn_event_session(event);
        if (!is_final(pn_session_attachments(session)))
            break;
        ended_sessions_++;
        if (pn_session_state(session) & PN_REMOTE_CLOSED)
            ended_bytes_ += cost(pn_session_remote_condition(session));
        break;
    }
    case PN_SESSION_REMOTE_CLOSE:
        in_endpoints_ += cost(pn_session_remote_condition(pn_event_session(event)));
        break;
    case PN_LINK_INIT:
        links_++;
        break;
    case PN_LINK_FINAL: {
        pn_link_t *link = pn_event_link(event);
        if (!is_final(pn_link_attachments(link)))
            break;
        ended_links_++;
        ended_bytes_ += cost(link) + cost(pn_link_remote_condition(link));
        break;
    }
    case PN_LINK_REMOTE_OPEN:
        in_endpoints_ += cost(pn_event_link(event));
        break;
    case PN_LINK_REMOTE_DETACH:
    case PN_LINK_REMOTE_CLOSE:
        in_endpoints_ += cost(pn_link_remote_condition(pn_event_link(event)));
        break;
    case PN_DELIVERY:
        if (const size_t state = cost(static_cast<pn_delivery_t *>(pn_event_context(event)))) {
            all_states_ += state;
            in_states_ += state;
            largest_state_ = std::max(largest_state_, state);
        }
        break;
    case PN_CONNECTION_REMOTE_OPEN: {
        pn_connection_t *c = pn_event_connection(event);
        in_open_ = kNode * (nodes(pn_connection_remote_offered_capabilities(c)) +
                            nodes(pn_connection_remote_desired_capabilities(c)) +
                            nodes(pn_connection_remote_properties(c)));
        break;
    }
    default:
        break;
    }
    account();
}

void Ledger::received(size_t bytes, const Frames &frames) noexcept {
    came_ += bytes;
    arrived_ += static_cast<size_t>(frames.transfers() - transfers_);
    transfers_ = frames.transfers();
    // Names and addresses come back in the answer.
    if (frames.ends_with(Frames::attach))
        answers_ += frames.frame_size();
}

void Ledger::produced(uint64_t frames) noexcept {
    waiting_ = 0;
    take(sessions_, ended_sessions_);
    take(links_, ended_links_);
    take(in_endpoints_, ended_bytes_);
    ended_sessions_ = ended_links_ = ended_bytes_ = 0;
    answers_ += kAnswer * static_cast<size_t>(frames - frames_);
    frames_ = frames;
    account();
}

void Ledger::sent(size_t bytes, bool all) noexcept {
    take(answers_, all ? answers_ : bytes);
    account();
}

size_t Ledger::held() const noexcept {
    return sessions_ * kSession + links_ * kLink + in_endpoints_ + in_open_ +
           (outgoing_ + deliveries()) * kDelivery + incoming_ + came_ + answers_ + in_states_;
}

// A disposition's state is decoded once for each delivery that it is about.
size_t Ledger::decoded(const Frames &next, uint64_t deliveries) const noexcept {
    if (!next.ends_with(Frames::disposition) || next.frame_size() <= Frames::kPlainDisposition)
        return 0;
    const size_t values = next.frame_size() - Frames::kPlainDisposition / 2;
    return static_cast<size_t>(std::min(next.range(), deliveries)) * values * kNode;
}

const Ledger::Excess *Ledger::excess(const Frames &next, uint32_t channel_max) const noexcept {
    // One more would have no channel, and Proton would go on without a word to the peer.
    if (next.may_begin() && sessions_ > channel_max)
        return &kSessions;
    if (links_ > most_links_)
        return &kLinks;
    if (deliveries() > most_deliveries_ || outgoing_ > most_deliveries_)
        return &kDeliveries;
    const size_t bytes = held();
    if (bytes > most_bytes_)
        return &kBytes;
    if (bytes > LWS_PROTON_AMQP_SHARE && !ProcessMemory::has_room_for(0))
        return &kProcess;
    return decoded(next, outgoing_ + deliveries()) > most_bytes_ ? &kDisposition : nullptr;
}

bool Ledger::wants_census(const Frames &next) const noexcept {
    return came_ > kStep * 16 || arrived_ > most_deliveries_ / 4 ||
           decoded(next, kMany) > most_bytes_ / 2 || all_states_ - in_states_ > most_bytes_ / 2;
}

void Ledger::census(pn_connection_t *connection, bool produced) noexcept {
    const size_t before = deliveries();
    unsettled_ = outgoing_ = incoming_ = 0;
    for (pn_session_t *s = pn_session_head(connection, 0); s; s = pn_session_next(s, 0))
        incoming_ += pn_session_incoming_bytes(s);
    for (pn_link_t *l = pn_link_head(connection, 0); l; l = pn_link_next(l, 0)) {
        const auto n = static_cast<size_t>(std::max(pn_link_unsettled(l), 0));
        (pn_link_is_sender(l) ? outgoing_ : unsettled_) += n;
    }
    waiting_ = produced || before < unsettled_ ? 0 : before - unsettled_;
    arrived_ = came_ = 0;
    most_at_once_ = std::max(most_at_once_, outgoing_ + deliveries());
    in_states_ = std::min(all_states_, largest_state_ * most_at_once_);
    account();
}

// What is there for certain: of what came since the last census most is gone again, as a rule.
void Ledger::account() noexcept {
    const size_t lasting = held() - came_ - arrived_ * kDelivery;
    const size_t now = LWS_PROTON_AMQP_CONNECTION + lasting / kStep * kStep;
    // Back a step later, so that what goes up and down a little costs nothing.
    if (now <= charged_ && now + kStep >= charged_)
        return;
    if (now > charged_)
        ProcessMemory::add(now - charged_);
    else
        ProcessMemory::subtract(charged_ - now);
    charged_ = now;
}

}  // namespace lws_proton::amqp
