// Links of AMQP connections at the broker's queues, with Proton's engine at both ends and nothing
// between them: what an event of a connection costs, and how much is done in one turn.
#include "check.hpp"
#include "engine.hpp"
#include "test_main.hpp"

#include <proton/delivery.h>
#include <proton/link.h>
#include <proton/session.h>

extern "C" {
#include "queue_connections.h"
#include "queue_links.h"
#include "queues.h"
}

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

using namespace e2e;
using lws_proton::amqp::Engine;

namespace {

constexpr int kSession = 250;  // links in one: Proton looks for a free handle among all of them

std::set<pn_connection_t *> woken;
size_t wakes = 0;  // calls

// What one connection has here is more than a peer may have.
lws_proton_amqp_t unlimited(void (*handle)(void *, pn_event_t *))
{
    lws_proton_amqp_t amqp = {};
    amqp.handle = handle;
    amqp.links = amqp.deliveries = UINT32_MAX;
    amqp.bytes = SIZE_MAX;
    return amqp;
}

// The broker's end, and the peer's.
class Connection {
public:
    Connection() : broker_(unlimited(broker_event)), peer_(unlimited([](void *, pn_event_t *) {}))
    {
        pn_transport_t *transport = pn_transport();
        pn_transport_set_server(transport);
        CHECK(broker_.init(nullptr, transport) && peer_.init(nullptr, nullptr));
        pn_connection_open(peer_.connection());
        exchange();
    }
    ~Connection()
    {
        broker_.end_of_input();
        broker_.end_of_output();
    }
    Connection(const Connection &) = delete;

    pn_connection_t *broker() { return broker_.connection(); }
    pn_connection_t *peer() { return peer_.connection(); }
    pn_session_t *session() { return session_; }

    void add_links(size_t count, const char *name, bool receivers, int credit)
    {
        for (size_t i = 0; i < count; i++) {
            if (links.size() % kSession == 0) {
                session_ = pn_session(peer());
                pn_session_open(session_);
            }
            const std::string own = std::to_string(links.size());
            pn_link_t *link =
                (receivers ? pn_receiver : pn_sender)(session_, own.c_str());
            pn_terminus_set_address(pn_link_source(link), name);
            pn_terminus_set_address(pn_link_target(link), name);
            pn_link_open(link);
            if (receivers)
                pn_link_flow(link, credit);
            links.push_back(link);
        }
        exchange();
    }

    // Until nothing moves, wakes left out.
    void exchange()
    {
        for (bool moved = true; moved;) {
            moved = false;
            for (auto [from, to] : {std::pair(&peer_, &broker_), std::pair(&broker_, &peer_)}) {
                from->dispatch();
                from->make_output();
                const pn_bytes_t out = from->output();
                if (!out.size)
                    continue;
                to->receive(out.start, out.size);
                from->sent(out.size);
                moved = true;
            }
        }
    }

    // What the broker does when its connection is woken.
    bool serve_wake()
    {
        if (!woken.erase(broker()))
            return false;
        broker_.wake();
        broker_.dispatch();
        return true;
    }
    // The same for the time it takes: what it sends goes nowhere.
    bool serve_wake_alone()
    {
        const bool any = serve_wake();
        do {
            broker_.make_output();
            broker_.sent(broker_.output().size);
        } while (broker_.dispatch());
        return any;
    }

    std::vector<pn_link_t *> links;

private:
    static void broker_event(void *, pn_event_t *event) { queue_connection_event(event); }

    Engine broker_, peer_;
    pn_session_t *session_ = nullptr;
};

// Somebody else at a queue.
class Place {
public:
    Place(const char *name, queue_use use) : place_(queue_enter(name, use, &peer_, this))
    {
        CHECK(place_);
    }
    ~Place() { queue_leave(place_); }

    bool put(size_t size = 1)
    {
        message *m = queue_reserve(place_, size);
        if (m)
            queue_put(place_, m);
        return m;
    }
    bool take() { return queue_take(place_); }
    bool consume()
    {
        message *m = queue_take(place_);
        if (m)
            queue_settle(place_, m, 1);
        return m;
    }

private:
    queue_peer peer_ = {reinterpret_cast<pn_connection_t *>(this), {}};
    place *place_;
};

queue_numbers numbers_of(const std::string &name)
{
    queue_cursor cursor = {};
    queue_numbers numbers, found = {};
    while (queue_next(&cursor, &numbers))
        if (name == numbers.name)
            found = numbers;
    return found;
}


// Whatever credit it has, and how many of its links were woken.
void a_turn_is_so_many_messages_and_no_more()
{
    Place sender("q", QUEUE_PUTS);
    Connection connection;
    while (numbers_of("q").messages < 20 * LINKS_TURN)
        CHECK(sender.put());
    size_t most = 0, last = 0;
    const auto note = [&] {
        const size_t taken = numbers_of("q").unsettled;
        most = std::max(most, taken - last);
        last = taken;
    };
    connection.add_links(1, "q", true, 100000);
    note();
    size_t turns = 0;
    while (connection.serve_wake()) {
        note();
        turns++;
        // It may send no more before some of it has gone.
        connection.exchange();
        note();
    }
    CHECK_EQ(last, 20u * LINKS_TURN);
    CHECK_GE(turns, 19u);
    CHECK_LE(most, size_t{LINKS_TURN});
}

// What many links have sent, and a queue that was full has room for at once.
void senders_that_wait_are_served_in_turns()
{
    queue_limits.message = 1000;
    queue_limits.queue = 1000 * 1000;
    queue_limits.credit = 10;
    {
        Place sender("q", QUEUE_PUTS), receiver("q", QUEUE_TAKES);
        Connection connection;
        connection.add_links(400, "q", false, 0);
        while (sender.put())
            ;
        for (pn_link_t *link : connection.links)
            while (pn_link_credit(link) > 0) {
                const uint64_t tag = reinterpret_cast<uintptr_t>(link) + static_cast<uint64_t>(pn_link_credit(link));
                pn_delivery(link, pn_dtag(reinterpret_cast<const char *>(&tag), sizeof(tag)));
                pn_link_send(link, "x", 1);
                pn_link_advance(link);
            }
        for (int i = 0; i < 50; i++) {
            connection.exchange();
            connection.serve_wake();
        }
        const unsigned long before = numbers_of("q").in;
        while (receiver.consume())
            ;
        unsigned long last = before;
        size_t turns = 0;
        while (connection.serve_wake()) {
            const unsigned long in = numbers_of("q").in;
            CHECK_LE(in - last, static_cast<unsigned long>(LINKS_TURN));
            last = in;
            turns++;
        }
        CHECK_EQ(last - before, 4000u);
        CHECK_GE(turns, 4000u / LINKS_TURN);
    }
}

// Proton keeps a delivery with its bytes for as long as there is the connection.
void a_long_message_goes_to_proton_in_pieces()
{
    constexpr size_t kLong = 10 * QUEUE_PIECE + 1;
    queue_limits.message = kLong;
    Place sender("q", QUEUE_PUTS);
    CHECK(sender.put(kLong));
    Connection connection;
    connection.add_links(1, "q", true, 1);
    pn_link_t *link = connection.links[0];
    pn_delivery_t *delivery = pn_link_current(link);
    CHECK(delivery && !pn_delivery_partial(delivery));
    CHECK_EQ(pn_delivery_pending(delivery), kLong);
    CHECK_EQ(numbers_of("q").unsettled, 1u);
    pn_delivery_update(delivery, PN_ACCEPTED);
    pn_delivery_settle(delivery);
    connection.exchange();
    CHECK_EQ(numbers_of("q").out, 1u);
}

// Of all queues together; and it goes on when some are settled, with each of its links.
void a_connection_has_as_many_unsettled_as_a_queue_may()
{
    queue_limits.message = 1000;
    queue_limits.queue = 400 * 1000;
    std::vector<std::unique_ptr<Place>> senders;
    Connection connection;
    std::vector<std::string> names;
    for (int i = 0; i < 8; i++)
        names.push_back("q" + std::to_string(i));
    for (const std::string &name : names) {
        senders.push_back(std::make_unique<Place>(name.c_str(), QUEUE_PUTS));
        for (int i = 0; i < 200; i++)
            CHECK(senders.back()->put());
        connection.add_links(1, name.c_str(), true, 1000);
    }
    const auto unsettled = [&] {
        size_t all = 0;
        for (const std::string &name : names)
            all += numbers_of(name).unsettled;
        return all;
    };
    const auto settle_some = [&](size_t most) {
        size_t settled = 0;
        for (pn_link_t *link : connection.links)
            while (pn_delivery_t *d = pn_link_current(link)) {
                if (settled == most)
                    return settled;
                pn_delivery_update(d, PN_ACCEPTED);
                pn_delivery_settle(d);
                settled++;
            }
        return settled;
    };
    size_t got = 0;
    for (int round = 0; got < 8 * 200; round++) {
        CHECK(round < 10000);
        do
            connection.exchange();
        while (connection.serve_wake());
        CHECK_LE(unsettled(), 200u * 1000 / 800 + 1);
        const size_t settled = settle_some(50);
        CHECK(settled);
        got += settled;
        connection.exchange();
    }
}

// However many wait, and however much there is for them.
void a_call_wakes_so_many_connections_and_no_more()
{
    constexpr size_t kPlaces = 200;
    Place sender("q", QUEUE_PUTS);
    auto greedy = std::make_unique<Place>("q", QUEUE_TAKES);
    for (size_t i = 0; i < kPlaces; i++)
        CHECK(sender.put() && greedy->take());
    std::vector<std::unique_ptr<Place>> waiting;
    for (size_t i = 0; i < kPlaces; i++) {
        waiting.push_back(std::make_unique<Place>("q", QUEUE_TAKES));
        CHECK(!waiting.back()->consume());
    }
    wakes = 0;
    CHECK(sender.put());
    CHECK(wakes && wakes <= QUEUE_WAKES);
    wakes = 0;
    greedy.reset();
    CHECK(wakes && wakes <= QUEUE_WAKES);
    // Each that was woken and takes one has the next one woken.
    size_t consumed = 0, most = 0;
    for (auto &place : waiting) {
        wakes = 0;
        consumed += place->consume();
        most = std::max(most, wakes);
    }
    CHECK_EQ(consumed, kPlaces);
    // It takes, and settles.
    CHECK_LE(most, size_t{2 * QUEUE_WAKES});
}

// What its links have taken is another's.
void the_end_of_a_session_costs_as_much_as_it_has_links()
{
    constexpr size_t kEach = 4;
    Place sender("q", QUEUE_PUTS);
    Connection connection;
    connection.add_links(kSession, "q", true, kEach);
    for (size_t i = 0; i < kSession * kEach; i++)
        CHECK(sender.put());
    while (connection.serve_wake())
        connection.exchange();
    CHECK_EQ(numbers_of("q").unsettled, kSession * kEach);
    Place receiver("q", QUEUE_TAKES);
    CHECK(!receiver.consume());
    wakes = 0;
    pn_session_close(connection.session());
    connection.exchange();
    CHECK(wakes && wakes <= size_t{QUEUE_WAKES} * kSession);
    CHECK_EQ(numbers_of("q").unsettled, 0u);
    for (size_t i = 0; i < kSession * kEach; i++)
        CHECK(receiver.consume());
}

int set_up(void **)
{
    queue_limits.message = 64 * 1024;
    queue_limits.queue = size_t{256} * 1024 * 1024;
    queue_limits.queues = 100;
    queue_limits.credit = 100;
    woken.clear();
    return 0;
}

int tear_down(void **)
{
    queues_free();
    return 0;
}

} // namespace

extern "C" void lws_proton_amqp_wake(pn_connection_t *connection)
{
    woken.insert(connection);
    wakes++;
}

#define LINKS_TEST(name) {#name, e2e::run_body<name>, set_up, tear_down, nullptr}

int main()
{
    const CMUnitTest tests[] = {
        LINKS_TEST(a_turn_is_so_many_messages_and_no_more),
        LINKS_TEST(senders_that_wait_are_served_in_turns),
        LINKS_TEST(a_long_message_goes_to_proton_in_pieces),
        LINKS_TEST(a_call_wakes_so_many_connections_and_no_more),
        LINKS_TEST(the_end_of_a_session_costs_as_much_as_it_has_links),
        LINKS_TEST(a_connection_has_as_many_unsettled_as_a_queue_may),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
