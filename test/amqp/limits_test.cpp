// SPDX-License-Identifier: MIT
//
// What one peer may have made, by a peer of bytes over TCP: what ends when it is too much, what
// waits for a peer that does not read, and that nothing of it is lost.
#include "peer.hpp"
#include "test_main.hpp"

#include <poll.h>

#include <memory>

using namespace amqp_test;
using std::operator""s;

namespace {

// AMQP 1.0, 2.7: performatives as bytes, with no more than they need.
std::string frame(uint16_t channel, const std::string &body) {
    const size_t size = 8 + body.size();
    std::string bytes;
    for (int shift = 24; shift >= 0; shift -= 8)
        bytes += static_cast<char>(size >> shift);
    bytes += "\2\0"s;
    bytes += static_cast<char>(channel >> 8);
    bytes += static_cast<char>(channel);
    return bytes + body;
}

const std::string kOpening = "AMQP\0\1\0\0"s + frame(0, "\0\x53\x10\xc0\7\1\xa1\4test"s);

std::string begin(uint16_t channel) {
    return frame(channel, "\0\x53\x11\xc0\x0d\4\x40\x43\x70\0\0\x08\0\x70\0\0\x08\0"s);
}

std::string end(uint16_t channel) {
    return frame(channel, "\0\x53\x17\x45"s);
}

// A sender.
std::string attach(uint16_t channel, uint8_t handle) {
    return frame(channel, "\0\x53\x12\xc0\x0e\x0a\xa1\1"s + static_cast<char>(handle) + "\x52"s +
                              static_cast<char>(handle) + "\x42\x40\x40\x40\x40\x40\x40\x43"s);
}

std::string detach(uint16_t channel, uint8_t handle) {
    return frame(channel, "\0\x53\x16\xc0\4\2\x52"s + static_cast<char>(handle) + "\x41"s);
}

std::string transfer(uint16_t channel, const std::string &message) {
    return frame(channel, "\0\x53\x14\xc0\7\4\x43\x40\xa0\1t\x43"s + message);
}

// A disposition of a receiver for the deliveries up to `last`, rejected with so many values in it.
std::string rejection(uint8_t last, uint16_t values) {
    std::string list = "\xd0"s;
    for (const int number : {values + 4, +values})
        for (int shift = 24; shift >= 0; shift -= 8)
            list += static_cast<char>(number >> shift);
    list.append(values, '\x43');
    const std::string error = "\xa3\1e\x40"s + list;
    const auto wrapped = [](const char *descriptor, const std::string &fields, int count) {
        std::string bytes = std::string("\0\x53", 2) + descriptor + "\xd0";
        for (const int number : {static_cast<int>(fields.size()) + 4, count})
            for (int shift = 24; shift >= 0; shift -= 8)
                bytes += static_cast<char>(number >> shift);
        return bytes + fields;
    };
    const std::string state = wrapped("\x25", wrapped("\x1d", error, 3), 1);
    return frame(0, wrapped("\x15", "\x41\x43\x52"s + static_cast<char>(last) + "\x42" + state, 5));
}

// How many frames of a kind are in what was received.
size_t count(const std::string &bytes, uint8_t code) {
    size_t n = 0;
    for (size_t at = bytes.compare(0, 4, "AMQP") ? 0 : 8; at + 8 <= bytes.size();) {
        const auto byte = [&](size_t i) { return static_cast<uint8_t>(bytes[at + i]); };
        const size_t size = size_t{byte(0)} << 24 | byte(1) << 16 | byte(2) << 8 | byte(3);
        CHECK_GE(size, 8u);
        n += size > 10 && byte(10) == code;
        at += size;
    }
    return n;
}

enum : uint8_t { kBegin = 0x11, kAttach = 0x12, kDetach = 0x16, kEnd = 0x17, kClose = 0x18 };

// Closes and frees what the peer does, as an application has to.
class Tidy : public Receiving {
public:
    size_t sessions = 0, links = 0;
    bool settles = true, frees = true;

protected:
    void usual(pn_event_t *event) override {
        if (settles || pn_event_type(event) != PN_DELIVERY)
            Receiving::usual(event);
        switch (pn_event_type(event)) {
        case PN_SESSION_REMOTE_OPEN:
            sessions++;
            break;
        case PN_LINK_REMOTE_OPEN:
            links++;
            break;
        case PN_LINK_REMOTE_DETACH:
        case PN_LINK_REMOTE_CLOSE:
            pn_link_close(pn_event_link(event));
            pn_link_free(pn_event_link(event));
            break;
        case PN_SESSION_REMOTE_CLOSE:
            pn_session_close(pn_event_session(event));
            if (frees)
                pn_session_free(pn_event_session(event));
            break;
        default:
            break;
        }
    }
};

struct Scene {
    Tidy application;
    std::unique_ptr<Endpoint> endpoint;
    std::unique_ptr<Peer> peer;

    explicit Scene(const std::function<void(lws_proton_amqp_t &)> &limit = {}) {
        application.keep_events = false;
        if (limit)
            limit(application.amqp());
        endpoint = std::make_unique<Endpoint>(application, Endpoint::tcp());
        peer = std::make_unique<Peer>(*endpoint);
        say(kOpening);
        CHECK_EQ(application.begun, 1);
    }

    void say(const std::string &bytes) {
        peer->send(bytes);
        peer->run();
    }

    void check_ended(const std::string &condition) {
        CHECK_EQ(application.condition.substr(0, condition.size()), condition);
        CHECK_EQ(count(peer->received, kClose), 1u);
        CHECK(peer->received.find(condition.substr(0, condition.find(": "))) != std::string::npos);
    }
};

const char kTooManySessions[] = "amqp:connection:framing-error: too many sessions";

void a_session_beyond_the_limit_ends_the_connection() {
    Scene scene([](lws_proton_amqp_t &amqp) { amqp.sessions = 3; });
    scene.application.frees = false;
    for (uint16_t channel = 0; channel < 3; channel++)
        scene.say(begin(channel));
    CHECK_EQ(count(scene.peer->received, kBegin), 3u);
    CHECK_EQ(scene.application.condition, "");
    // Not by the number of its channel, of which Proton has an eye.
    scene.say(end(0) + begin(0));
    scene.check_ended(kTooManySessions);
    CHECK_EQ(scene.application.sessions, 3u);
}

void the_limit_of_sessions_is_told() {
    Scene scene([](lws_proton_amqp_t &amqp) { amqp.sessions = 3; });
    CHECK_EQ(pn_transport_get_channel_max(pn_connection_transport(scene.application.connection)),
             2u);
    scene.say(begin(3));
    CHECK_EQ(scene.application.sessions, 0u);
    CHECK_EQ(count(scene.peer->received, kClose), 1u);
}

void sessions_that_have_ended_make_room_for_others() {
    Scene scene([](lws_proton_amqp_t &amqp) { amqp.sessions = 3; });
    std::string bytes;
    for (int i = 0; i < 1000; i++)
        bytes += begin(1) + end(1);
    scene.say(bytes);
    CHECK_EQ(scene.application.condition, "");
    CHECK_EQ(scene.application.sessions, 1000u);
    CHECK_EQ(count(scene.peer->received, kBegin), 1000u);
    CHECK_EQ(count(scene.peer->received, kEnd), 1000u);
}

void a_link_beyond_the_limit_ends_the_connection() {
    Scene scene([](lws_proton_amqp_t &amqp) { amqp.links = 5; });
    scene.say(begin(0) + begin(1));
    for (uint8_t handle = 0; handle < 5; handle++)
        scene.say(attach(handle % 2, handle));
    CHECK_EQ(count(scene.peer->received, kAttach), 5u);
    CHECK_EQ(scene.application.condition, "");
    scene.say(attach(0, 9) + attach(1, 10));
    scene.check_ended("amqp:resource-limit-exceeded: too many links");
}

void links_that_have_ended_make_room_for_others() {
    Scene scene([](lws_proton_amqp_t &amqp) { amqp.links = 5; });
    std::string bytes = begin(0);
    for (int i = 0; i < 1000; i++)
        bytes += attach(0, 1) + detach(0, 1);
    scene.say(bytes);
    CHECK_EQ(scene.application.condition, "");
    CHECK_EQ(count(scene.peer->received, kAttach), 1000u);
    CHECK_EQ(count(scene.peer->received, kDetach), 1000u);
}

void unsettled_deliveries_beyond_the_limit_end_the_connection() {
    Scene scene([](lws_proton_amqp_t &amqp) { amqp.deliveries = 100; });
    scene.application.settles = false;
    scene.say(begin(0) + attach(0, 0));
    for (int i = 0; i < 100; i++)
        scene.say(transfer(0, "message"));
    CHECK_EQ(scene.application.condition, "");
    scene.say(transfer(0, "message") + transfer(0, "message"));
    scene.say(transfer(0, "message"));
    scene.check_ended("amqp:resource-limit-exceeded: too many unsettled deliveries");
}

void deliveries_that_are_settled_make_room_for_others() {
    Scene scene([](lws_proton_amqp_t &amqp) { amqp.deliveries = 100; });
    scene.say(begin(0) + attach(0, 0));
    std::string bytes;
    for (int i = 0; i < 10000; i++)
        bytes += transfer(0, std::to_string(i));
    scene.say(bytes);
    CHECK_EQ(scene.application.condition, "");
    CHECK_EQ(scene.application.messages.size(), 10000u);
    CHECK_EQ(scene.application.messages[9999], "9999");
}

// Of more transfers to come, with this id, or none.
std::string part(const std::string &id, uint16_t channel = 0) {
    return frame(channel, "\0\x53\x14\xc0"s + static_cast<char>(9 + id.size() - 1) + "\6\x43"s +
                              id + "\xa0\1t\x43\x42\x41"s + "part");
}

const std::string kNoId = "\x40", kFirstId = "\x43";

// With assertions Proton would end the process.
void a_delivery_begins_with_its_id_or_the_connection_ends() {
    const std::string begun = begin(0) + attach(0, 0), first = part(kFirstId);
    const std::string last = transfer(0, "end");
    const std::string cases[] = {
        part(kNoId),
        first + last + part("\x52\1"s) + last + last + part(kNoId),
        first + detach(0, 0) + attach(0, 0) + part(kNoId),
        first + end(0) + begin(0) + attach(0, 0) + part(kNoId),
        // Its code as a ulong of eight bytes.
        frame(0, part(kNoId).substr(8).replace(0, 3, "\0\x80\0\0\0\0\0\0\0\x14"s)),
    };
    for (const std::string &bytes : cases) {
        Scene scene;
        scene.say(begun);
        scene.say(bytes);
        scene.check_ended("amqp:connection:framing-error: a delivery without a delivery-id");
    }
}

// An answer to a begin of ours.
std::string answer(uint16_t channel, uint8_t ours) {
    return frame(channel, "\0\x53\x11\xc0\x0f\4\x60\0"s + static_cast<char>(ours) +
                              "\x43\x70\0\0\x08\0\x70\0\0\x08\0"s);
}

std::string attach_by(const std::string &handle, const char *name, bool receives = false) {
    const std::string fields =
        "\xa1\1"s + name + handle + (receives ? "\x41" : "\x42") + "\x40\x40\x40\x40\x40\x40\x43";
    return frame(0, "\0\x53\x12\xc0"s + static_cast<char>(fields.size() + 1) + "\x0a" + fields);
}

// It would have two places for a session or a link.
void what_does_not_fit_what_the_peer_has_begun_ends_the_connection() {
    const struct {
        std::string bytes;
        const char *why;
    } cases[] = {
        {begin(1) + begin(1), "the channel is in use"},
        {answer(1, 0), "an answer to no begin"},
        {attach_by("\x43", "a") + attach_by("\x43", "b"), "the handle is in use"},
        {attach_by("\x43", "a") + attach_by("\x52\0"s, "b", true), "the handle is in use"},
        {attach_by("\x70\x80\0\0\0"s, "a"), "a handle above 2^31 - 1"},
        {attach_by("\x70\xff\xff\xff\xff", "a"), "a handle above 2^31 - 1"},
        {attach_by("\x43", "a", true) + transfer(0, "x"),
         "a transfer by a link where the peer receives"},
        {kOpening.substr(8), "a second open"},
    };
    for (const auto &c : cases) {
        // Whole, and in pieces: Proton has the beginning of a frame by then.
        for (const size_t most : {SIZE_MAX, size_t{1}}) {
            Scene scene;
            scene.say(begin(0));
            scene.peer->most = most;
            scene.say(c.bytes);
            scene.check_ended(std::string("amqp:connection:framing-error: ") + c.why);
        }
    }
}

void channels_and_handles_may_be_used_again() {
    Scene scene;
    std::string bytes = begin(0) + begin(1);
    for (int i = 0; i < 3; i++)
        bytes += attach(0, 1) + attach(1, 1) + attach(0, 2) + detach(0, 1) + attach(0, 1) + end(0) +
                 begin(0) + detach(1, 1);
    scene.say(bytes);
    CHECK_EQ(scene.application.condition, "");
    CHECK_EQ(scene.application.links, 12u);
}

// An application may begin sessions, too, and each is answered once.
void a_begin_is_answered_once() {
    Scene scene;
    pn_session_t *sessions[2];
    for (pn_session_t *&session : sessions) {
        session = pn_session(scene.application.connection);
        pn_session_open(session);
    }
    lws_proton_amqp_wake(scene.application.connection);
    scene.peer->run_until("begins", [&] { return count(scene.peer->received, kBegin) == 2; });
    scene.say(answer(5, 0));
    CHECK_EQ(scene.application.condition, "");
    CHECK(pn_session_state(sessions[0]) & PN_REMOTE_ACTIVE);
    scene.say(answer(6, 0));
    scene.check_ended("amqp:connection:framing-error: a second answer to a begin");
}

std::string number(size_t value) {
    std::string bytes;
    for (int shift = 24; shift >= 0; shift -= 8)
        bytes += static_cast<char>(value >> shift);
    return bytes;
}

std::string long_list(const std::string &items, size_t count) {
    return "\xd0" + number(items.size() + 4) + number(count) + items;
}

std::string array(size_t count, const std::string &elements) {
    return "\xf0" + number(elements.size() + 4) + number(count) + elements;
}

// An end with an error whose map is this.
std::string end_with(const std::string &value) {
    const std::string error = "\0\x53\x1d"s + long_list("\xa3\1e\x40" + value, 3);
    return frame(0, "\0\x53\x17"s + long_list(error, 1));
}

// Proton makes an object of each value, and there can be more of them than bytes.
void what_is_not_encoded_well_ends_the_connection() {
    std::string nested = "\x40";
    for (int i = 0; i < 100; i++)
        nested = long_list(nested, 1);
    const std::string cases[] = {array(65000, "\x40"),
                                 array(7, "\x45"),
                                 array(3, "\x70\0\0\0\1\0\0\0\2"s),
                                 array(1, "\0\0\x53\1\x40\x40"s),
                                 long_list("\x40\x40", 1),
                                 long_list("\x40", 2),
                                 long_list(long_list("\x40", 1).replace(4, 1, "\x20"), 1),
                                 nested,
                                 "\0\0\x53\1\x40\x40"s,
                                 "\0\xc0\1\0\x40"s,
                                 "\xa1\x7f",
                                 "\x10"};
    for (const std::string &value : cases) {
        for (const size_t most : {SIZE_MAX, size_t{1}}) {
            Scene scene;
            scene.say(begin(0));
            scene.peer->most = most;
            scene.say(end_with(value));
            scene.check_ended("amqp:connection:framing-error: a frame that is not well-formed");
        }
    }
    const std::string state = "\0\x53\x99"s + array(65000, "\x40");
    for (const std::string &value : {state, "\xa0\x7f"s}) {
        Scene scene;
        scene.say(begin(0) + attach(0, 0));
        scene.say(
            frame(0, "\0\x53\x14"s + long_list("\x43\x40\xa0\1t\x43\x40\x40\x40" + value, 8)));
        scene.check_ended(
            "amqp:connection:framing-error: a state that is cut off, or not well-formed");
    }
}

void what_is_encoded_well_is_taken() {
    const std::string values[] = {array(2, "\x70\0\0\0\1\0\0\0\2"s),
                                  array(2, "\xa3\1a\1b"),
                                  array(1, "\x40"),
                                  array(0, "\x40"),
                                  array(2, "\xc0\2\1\x40\2\1\x40"),
                                  array(1, "\0\x53\1\x40"s),
                                  array(1, array(1, "\x41")),
                                  long_list("", 0),
                                  "\x45",
                                  long_list(std::string(20000, '\x40'), 20000),
                                  "\xc1\1\0"s,
                                  "\0\x53\1\xa1\1x"s,
                                  "\0\xa3\3a:b\xc1\5\2\xa1\1k\x41"s};
    for (const std::string &value : values) {
        for (const size_t most : {SIZE_MAX, size_t{7}}) {
            Scene scene;
            scene.say(begin(0));
            scene.peer->most = most;
            scene.say(end_with(value) + begin(0));
            CHECK_EQ(scene.application.condition, "");
            CHECK_EQ(scene.application.sessions, 2u);
        }
    }
}

void a_delivery_may_go_on_without_its_id() {
    Scene scene;
    scene.say(begin(0) + attach(0, 0));
    scene.say(part(kFirstId) + part(kNoId) + part(kNoId) + transfer(0, "end"));
    CHECK_EQ(scene.application.condition, "");
    CHECK_EQ(scene.application.messages.size(), 1u);
    CHECK_EQ(scene.application.messages[0], "partpartpartend");
}

void bytes_beyond_the_limit_end_the_connection() {
    Scene scene([](lws_proton_amqp_t &amqp) { amqp.bytes = 1 << 20; });
    scene.application.settles = false;
    scene.say(begin(0) + attach(0, 0));
    for (int i = 0; i < 11 && scene.application.condition.empty(); i++)
        scene.say(transfer(0, std::string(100000, 'm').substr(0, 60000)) +
                  transfer(0, std::string(40000, 'm')));
    scene.check_ended("amqp:resource-limit-exceeded: the peer makes too much be held for it");
}

// It churns, reads nothing, and then all.
void check_unread(const std::string &once, uint8_t opened, uint8_t closed) {
    constexpr size_t kTimes = 20000;
    Scene scene;
    scene.say(begin(0));
    scene.peer->reading = false;
    std::string bytes;
    for (size_t i = 0; i < kTimes; i++)
        bytes += once;
    scene.say(bytes);
    const size_t made = scene.application.sessions + scene.application.links;
    CHECK_GE(scene.peer->unsent(), bytes.size() / 2);
    CHECK_LE(lws_proton_amqp_memory(), size_t{LWS_PROTON_AMQP_BYTES});
    scene.peer->reading = true;
    // Cut into turns.
    const auto answered = [&] { return count(scene.peer->received, closed) == kTimes; };
    scene.peer->run_until("answers", [&] { return !scene.peer->unsent() && answered(); });
    CHECK_EQ(scene.application.condition, "");
    CHECK_GE(scene.application.sessions + scene.application.links, made);
    CHECK_EQ(count(scene.peer->received, opened), kTimes + (opened == kBegin));
}

void sessions_whose_ends_are_not_read_stop_a_peer_and_none_is_lost() {
    check_unread(begin(1) + end(1), kBegin, kEnd);
}

void links_whose_ends_are_not_read_stop_a_peer_and_none_is_lost() {
    check_unread(attach(0, 1) + detach(0, 1), kAttach, kDetach);
}

void a_large_state_for_many_deliveries_ends_the_connection() {
    Scene scene;
    scene.application.on = [](pn_event_t *event) {
        pn_link_t *link = pn_event_link(event);
        if (pn_event_type(event) != PN_SESSION_REMOTE_OPEN)
            return;
        pn_session_open(pn_event_session(event));
        link = pn_sender(pn_event_session(event), "sender");
        pn_link_open(link);
        for (char tag = 1; tag < 101; tag++) {
            pn_delivery(link, pn_dtag(&tag, 1));
            pn_link_advance(link);
        }
    };
    scene.say(begin(0));
    scene.say(rejection(0, 10000));
    CHECK_EQ(scene.application.condition, "");
    scene.say(rejection(99, 10000));
    scene.check_ended("amqp:resource-limit-exceeded: too large a state for so many deliveries");
}

// A disposition about all that it has, again and again.
void what_a_peer_has_done_is_cut_into_turns() {
    constexpr int kDeliveries = 1000, kTimes = 100;
    Scene scene;
    size_t heard = 0;
    scene.application.on = [&](pn_event_t *event) {
        heard += pn_event_type(event) == PN_DELIVERY;
        if (pn_event_type(event) != PN_SESSION_REMOTE_OPEN)
            return;
        pn_session_open(pn_event_session(event));
        pn_link_t *link = pn_sender(pn_event_session(event), "sender");
        pn_link_open(link);
        for (int i = 0; i < kDeliveries; i++) {
            pn_delivery(link, pn_dtag(reinterpret_cast<const char *>(&i), sizeof(i)));
            pn_link_advance(link);
        }
    };
    const std::string attached = frame(0, "\0\x53\x12\xc0\x0b\3\xa1\6sender\x43\x41"s);
    const std::string credit =
        frame(0, "\0\x53\x13\xc0\x11\7\x43\x70\0\0\x08\0\x43\x52\xff\x43\x43\x70\0\0\x10\0"s);
    scene.say(begin(0));
    scene.say(attached + credit);
    CHECK_EQ(count(scene.peer->received, 0x14), size_t{kDeliveries});
    heard = 0;
    std::string dispositions;
    for (int i = 0; i < kTimes; i++)
        dispositions += frame(0, "\0\x53\x15\xc0\x09\4\x41\x43\x70\x7f\xff\xff\xff\x42"s);
    scene.say(dispositions + end(0));
    CHECK_LE(heard, size_t{12 * kDeliveries});
    CHECK_EQ(count(scene.peer->received, kEnd), 0u);
    // The rest is not lost, also if the peer sends no more.
    scene.peer->run_until("the end", [&] { return count(scene.peer->received, kEnd) == 1; });
    CHECK_EQ(heard, size_t{kTimes * kDeliveries});
}

// Over a WebSocket: it reads little at a time, but it reads.
void a_slow_peer_gets_all_and_is_not_cut() {
    constexpr size_t kMessages = 100, kSize = 10000, kPiece = 16 * 1024;
    Receiving application;
    application.keep_events = false;
    application.amqp().idle_ms = 1000;
    size_t made = 0, got = 0;
    application.on = [&](pn_event_t *event) {
        pn_link_t *link = pn_event_link(event);
        if (!link || !pn_link_is_sender(link))
            return;
        for (; pn_event_type(event) == PN_LINK_FLOW && pn_link_credit(link) > 0; made++) {
            pn_delivery(link, pn_dtag(reinterpret_cast<const char *>(&made), sizeof(made)));
            const std::string message(kSize, static_cast<char>('a' + made % 26));
            pn_link_send(link, message.data(), message.size());
            pn_link_advance(link);
        }
        if (pn_event_type(event) == PN_DELIVERY && pn_delivery_updated(pn_event_delivery(event)))
            pn_delivery_settle(pn_event_delivery(event));
    };
    Endpoint endpoint(application);
    Peer peer(endpoint);
    CHECK_EQ(peer.upgrade(), 101);
    peer.on = [&](pn_event_t *event) {
        pn_delivery_t *delivery = pn_event_delivery(event);
        if (pn_event_type(event) == PN_CONNECTION_INIT) {
            pn_connection_open(pn_event_connection(event));
            pn_session_t *session = pn_session(pn_event_connection(event));
            pn_session_open(session);
            pn_link_t *receiver = pn_receiver(session, "receiver");
            pn_link_open(receiver);
            pn_link_flow(receiver, kMessages);
        }
        if (pn_event_type(event) != PN_DELIVERY || pn_delivery_partial(delivery))
            return;
        std::string message(pn_delivery_pending(delivery), '\0');
        pn_link_recv(pn_event_link(event), message.data(), message.size());
        CHECK(message == std::string(kSize, static_cast<char>('a' + got % 26)));
        got++;
        pn_delivery_update(delivery, PN_ACCEPTED);
        pn_delivery_settle(delivery);
    };
    peer.appetite = 0;
    peer.begin();
    const int64_t begun = lws_now_usecs();
    peer.run_until("all messages", [&] {
        peer.appetite = kPiece;
        poll(nullptr, 0, 20);
        return got == kMessages;
    });
    CHECK_EQ(application.condition, "");
    CHECK_EQ(peer.close_code, 0);
    // It was slower than one may be silent.
    CHECK_GE(lws_now_usecs() - begun, 1000 * LWS_US_PER_MS);
}

void without_memory_for_more_a_connection_is_refused_and_others_go_on() {
    Scene scene;
    scene.say(begin(0) + attach(0, 0));
    lws_proton_amqp_set_memory_limit(LWS_PROTON_AMQP_CONNECTION);
    lws_proton_driver_t *refused =
        lws_proton_driver_new(scene.endpoint->loop(), 0, nullptr, nullptr);
    CHECK(!lws_adopt_socket_vhost(scene.endpoint->vhost, lws_proton_driver_conn(refused)));
    CHECK(lws_proton_driver_finished(refused));
    lws_proton_driver_free(refused);
    Receiving other;
    Endpoint over_websocket(other);
    CHECK_EQ(Peer(over_websocket).upgrade(), 503);
    CHECK_EQ(other.begun, 0);
    scene.say(transfer(0, "still there"));
    CHECK_EQ(scene.application.messages.size(), 1u);
    lws_proton_amqp_set_memory_limit(0);
    CHECK_EQ(Peer(over_websocket).upgrade(), 101);
}

void what_is_held_is_given_back() {
    const size_t before = lws_proton_amqp_memory();
    {
        Scene scene;
        scene.application.settles = false;
        CHECK_EQ(lws_proton_amqp_memory(), before + LWS_PROTON_AMQP_CONNECTION);
        scene.say(begin(0) + attach(0, 0));
        for (int i = 0; i < 100; i++)
            scene.say(transfer(0, std::string(40000, 'm')));
        CHECK_GE(lws_proton_amqp_memory(), before + 3000000);
    }
    CHECK_EQ(lws_proton_amqp_memory(), before);
}

std::string attach_with_map(uint16_t channel, uint8_t handle, size_t values) {
    const std::string nulls(values, '\x40');
    const std::string map = "\xd1" + number(nulls.size() + 4) + number(values) + nulls;
    const std::string fields = "\xa1\1"s + static_cast<char>('a' + handle) + "\x52"s +
                               static_cast<char>(handle) + "\x42\x40\x40\x40\x40\x40\x40\x43" +
                               "\x40\x40\x40" + map;
    return frame(channel, "\0\x53\x12"s + long_list(fields, 14));
}

// Long before there is a census.
void what_a_peer_has_made_counts_for_the_process_at_once_and_no_longer() {
    constexpr uint8_t kLinks = 8;
    constexpr size_t kValues = 10000, kValue = 72;
    Scene scene;
    scene.say(begin(0));
    const size_t before = lws_proton_amqp_memory();
    for (uint8_t handle = 0; handle < kLinks; handle++)
        scene.say(attach_with_map(0, handle, kValues));
    CHECK_EQ(scene.application.condition, "");
    CHECK_EQ(scene.application.links, size_t{kLinks});
    CHECK_GE(lws_proton_amqp_memory(), before + kLinks * kValues * kValue);
    for (uint8_t handle = 0; handle < kLinks; handle++)
        scene.say(detach(0, handle));
    scene.say(begin(1));
    CHECK_EQ(scene.application.condition, "");
    CHECK_LE(lws_proton_amqp_memory(), before + 128 * 1024);
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        E2E_TEST(a_session_beyond_the_limit_ends_the_connection),
        E2E_TEST(the_limit_of_sessions_is_told),
        E2E_TEST(sessions_that_have_ended_make_room_for_others),
        E2E_TEST(a_link_beyond_the_limit_ends_the_connection),
        E2E_TEST(links_that_have_ended_make_room_for_others),
        E2E_TEST(unsettled_deliveries_beyond_the_limit_end_the_connection),
        E2E_TEST(deliveries_that_are_settled_make_room_for_others),
        E2E_TEST(a_delivery_begins_with_its_id_or_the_connection_ends),
        E2E_TEST(what_does_not_fit_what_the_peer_has_begun_ends_the_connection),
        E2E_TEST(channels_and_handles_may_be_used_again),
        E2E_TEST(a_begin_is_answered_once),
        E2E_TEST(what_is_not_encoded_well_ends_the_connection),
        E2E_TEST(what_is_encoded_well_is_taken),
        E2E_TEST(a_delivery_may_go_on_without_its_id),
        E2E_TEST(bytes_beyond_the_limit_end_the_connection),
        E2E_TEST(sessions_whose_ends_are_not_read_stop_a_peer_and_none_is_lost),
        E2E_TEST(links_whose_ends_are_not_read_stop_a_peer_and_none_is_lost),
        E2E_TEST(a_large_state_for_many_deliveries_ends_the_connection),
        E2E_TEST(what_a_peer_has_done_is_cut_into_turns),
        E2E_TEST(a_slow_peer_gets_all_and_is_not_cut),
        E2E_TEST(without_memory_for_more_a_connection_is_refused_and_others_go_on),
        E2E_TEST(what_is_held_is_given_back),
        E2E_TEST(what_a_peer_has_made_counts_for_the_process_at_once_and_no_longer),
    };
    return cmocka_run_group_tests_name("amqp_limits", tests, nullptr, nullptr);
}
