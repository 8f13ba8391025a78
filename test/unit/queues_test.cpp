// The queues of the broker alone: what they take of time and memory, whom they wake, and in what
// order messages come. Connections are numbers here: see lws_proton_amqp_wake().
#include "check.hpp"
#include "doubling.hpp"
#include "test_main.hpp"

extern "C" {
#include "queues.h"
}

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

using namespace e2e;

namespace {


std::map<const void *, size_t> wakes;
size_t all_wakes;

// A connection, as far as queues know one.
struct Peer {
    Peer() : queue{reinterpret_cast<pn_connection_t *>(this), {}} {}
    size_t woken() const { return wakes[this]; }
    queue_peer queue;
};

class Place {
public:
    Place(const char *name, queue_use use, Peer &peer)
        : place_(queue_enter(name, use, &peer.queue, this))
    {
        CHECK(place_);
    }
    Place(const Place &) = delete;
    ~Place() { leave(); }

    void leave()
    {
        if (place_)
            queue_leave(place_);
        place_ = nullptr;
    }
    bool put(size_t size = 1)
    {
        message *m = queue_reserve(place_, size);
        if (!m)
            return false;
        queue_put(place_, m);
        return true;
    }
    void put_many(size_t count, size_t size = 1)
    {
        for (size_t i = 0; i < count; i++)
            CHECK(put(size));
    }
    message *take() { return queue_take(place_); }
    void settle(message *m, bool consumed) { queue_settle(place_, m, consumed); }
    bool has_room() { return queue_has_room(place_); }
    void pass() { queue_pass(place_); }

private:
    place *place_;
};

queue_numbers numbers_of(const std::string &name)
{
    queue_cursor cursor = {};
    queue_numbers numbers, found = {};
    while (queue_next(&cursor, &numbers))
        if (name == numbers.name)
            found = numbers;
    found.name = nullptr;
    return found;
}

size_t count_queues()
{
    queue_cursor cursor = {};
    queue_numbers numbers;
    size_t count = 0;
    while (queue_next(&cursor, &numbers))
        count++;
    return count;
}

// What a test needs for as long as its action runs.
struct Scene {
    ~Scene()
    {
        for (auto &place : places)
            place->leave();
    }
    Place &add(const char *name, queue_use use)
    {
        places.push_back(std::make_unique<Place>(name, use, peer));
        return *places.back();
    }
    Peer peer;
    std::vector<std::unique_ptr<Place>> places;
    std::vector<message *> taken;
};

void take_all(Scene &scene, Place &from)
{
    while (message *m = from.take())
        scene.taken.push_back(m);
}

// A queue with so many messages that a receiver has taken. They have 1000 bytes, so that what is
// measured is not how many of them the processor's caches hold.
std::shared_ptr<Scene> with_taken(size_t count)
{
    auto scene = std::make_shared<Scene>();
    scene->add("q", QUEUE_PUTS).put_many(count, 1000);
    take_all(*scene, scene->add("q", QUEUE_TAKES));
    CHECK_EQ(scene->taken.size(), count);
    return scene;
}

void empty(Place &from)
{
    while (message *m = from.take())
        from.settle(m, true);
}

const std::vector<int> kMessages = {20000, 40000, 80000};
const std::vector<int> kPlaces = {5000, 10000, 20000};

void released_messages_take_log_n_each()
{
    for (const bool in_order : {true, false})
        check_doubling_of_prepared(
            in_order ? "releases messages, and takes them again"
                     : "releases messages, the last one first, and takes them again",
            kMessages, [=](size_t count) {
                auto scene = with_taken(count);
                if (!in_order)
                    std::reverse(scene->taken.begin(), scene->taken.end());
                return [scene] {
                    Place &receiver = *scene->places[1];
                    for (message *m : scene->taken)
                        receiver.settle(m, false);
                    empty(receiver);
                };
            });
}

// The messages of the runs below `first`, whose ranks say how long join() may walk.
size_t check_heap(const message *first, const message *parent)
{
    if (!first)
        return 0;
    CHECK(first->parent == parent);
    CHECK(!parent || parent->number < first->number);
    size_t size = 1;
    for (const message *m = first->next; m; m = m->next) {
        CHECK_EQ(m->rank, 0);
        CHECK(m->left->next == m && m->left->number < m->number);
        size++;
    }
    const auto rank = [](const message *m) { return m ? m->rank : 0; };
    CHECK_GE(rank(first->left), rank(first->right));
    CHECK_EQ(first->rank, rank(first->right) + 1);
    return size + check_heap(first->left, first) + check_heap(first->right, first);
}

// In any order: time would say how many of them the processor's caches hold. The rightmost path of a
// heap has as many as its first has rank, which is what the rank of a leftist heap is for: it has at
// least two to the power of that, less one.
void a_heap_is_as_deep_as_it_may_be_whatever_is_done_with_it()
{
    constexpr size_t kMany = 20000;
    std::vector<std::unique_ptr<message>> messages(kMany);
    std::vector<message *> out, in[2];
    message_heap heaps[2] = {};
    uint32_t random = 1;
    const auto choose = [&](size_t count) {
        random = random * 1664525u + 1013904223u;
        return (random >> 8) % count;
    };
    for (size_t i = 0; i < kMany; i++) {
        messages[i] = std::make_unique<message>();
        messages[i]->number = i;
        out.push_back(messages[i].get());
    }
    for (size_t step = 0; step < 20 * kMany; step++) {
        const size_t h = choose(2);
        // As many go in as come out, and now and then all are in one.
        if (choose(2) && !out.empty()) {
            std::swap(out[choose(out.size())], out.back());
            message_heap_add(&heaps[h], out.back());
            in[h].push_back(out.back());
            out.pop_back();
        } else if (!in[h].empty()) {
            message *m = in[h][choose(in[h].size())];
            if (choose(2)) {
                m = heaps[h].lowest;
                CHECK(m);
            }
            std::swap(*std::find(in[h].begin(), in[h].end(), m), in[h].back());
            in[h].pop_back();
            message_heap_remove(&heaps[h], m);
            out.push_back(m);
        }
        if (!choose(1000)) {
            message_heap_join(&heaps[h], &heaps[1 - h]);
            in[h].insert(in[h].end(), in[1 - h].begin(), in[1 - h].end());
            in[1 - h].clear();
        }
        if (!choose(1000))
            for (int i = 0; i < 2; i++)
                CHECK_EQ(check_heap(heaps[i].lowest, nullptr), in[i].size());
    }
    message_heap_join(&heaps[0], &heaps[1]);
    long before = -1;
    while (message *m = heaps[0].lowest) {
        CHECK(before < static_cast<long>(m->number));
        before = static_cast<long>(m->number);
        message_heap_remove(&heaps[0], m);
    }
}

void messages_of_a_link_that_ends_take_log_n_in_all()
{
    check_doubling_of_prepared("ends a link with unsettled messages, which another takes",
                               kMessages, [](size_t count) {
                                   auto scene = with_taken(count);
                                   Place *other = &scene->add("q", QUEUE_TAKES);
                                   return [scene, other] {
                                       scene->places[1]->leave();
                                       empty(*other);
                                   };
                               });
}

// Each goes round all places that were woken, as their connection would.
void serve_woken(Scene &scene, const std::function<void(Place &)> &serve)
{
    while (void *woken = queue_woken(&scene.peer.queue))
        serve(*static_cast<Place *>(woken));
}

void receivers_that_wait_cost_a_message_nothing()
{
    check_doubling_of_prepared("receivers that wait at one queue, a message each", kPlaces,
                               [](size_t count) {
                                   auto scene = std::make_shared<Scene>();
                                   for (size_t i = 0; i < count; i++)
                                       CHECK(!scene->add("q", QUEUE_TAKES).take());
                                   Place *sender = &scene->add("q", QUEUE_PUTS);
                                   return [scene, sender, count] {
                                       size_t served = 0;
                                       for (size_t i = 0; i < count; i++) {
                                           CHECK(sender->put());
                                           serve_woken(*scene, [&](Place &place) {
                                               message *m = place.take();
                                               CHECK(m);
                                               place.settle(m, true);
                                               CHECK(!place.take());
                                               served++;
                                           });
                                       }
                                       CHECK_EQ(served, count);
                                   };
                               });
}

void senders_that_wait_cost_a_message_nothing()
{
    const auto before = queue_limits;
    queue_limits.message = 1024;
    queue_limits.queue = 64 * 1024;
    check_doubling_of_prepared("senders that wait at one full queue, room for each", kPlaces,
                               [](size_t count) {
                                   auto scene = std::make_shared<Scene>();
                                   Place *receiver = &scene->add("q", QUEUE_TAKES);
                                   for (size_t i = 0; i < count; i++) {
                                       Place &place = scene->add("q", QUEUE_PUTS);
                                       while (place.put(1024))
                                           ;
                                       CHECK(!place.has_room());
                                   }
                                   return [scene, receiver, count] {
                                       size_t served = 0;
                                       while (served < count) {
                                           message *m = receiver->take();
                                           CHECK(m);
                                           receiver->settle(m, true);
                                           serve_woken(*scene, [&](Place &place) {
                                               CHECK(place.put(1024));
                                               served++;
                                               (void)place.has_room();
                                           });
                                       }
                                   };
                               });
    queue_limits = before;
}

void queues_take_log_n_each()
{
    check_doubling_of_prepared("makes queues, and ends them", {1000, 2000, 4000}, [](size_t count) {
        auto names = std::make_shared<std::vector<std::string>>();
        for (size_t i = 0; i < count; i++)
            names->push_back("queue " + std::to_string(i * 7919 % count));
        return [names] {
            Scene scene;
            for (const std::string &name : *names)
                scene.add(name.c_str(), QUEUE_TAKES);
        };
    });
    CHECK_EQ(count_queues(), 0u);
}

void a_place_that_leaves_takes_log_n()
{
    check_doubling_of_prepared("ends links of one queue", kPlaces, [](size_t count) {
        auto scene = std::make_shared<Scene>();
        for (size_t i = 0; i < count; i++)
            CHECK(!scene->add("q", QUEUE_TAKES).take());
        return [scene] {
            for (auto &place : scene->places)
                place->leave();
        };
    });
}

void what_was_released_comes_first_and_in_order()
{
    Peer peer;
    Place sender("q", QUEUE_PUTS, peer), one("q", QUEUE_TAKES, peer), two("q", QUEUE_TAKES, peer);
    sender.put_many(20);
    std::vector<message *> taken;
    for (int i = 0; i < 12; i++)
        taken.push_back((i % 3 ? one : two).take());
    for (const int i : {7, 2, 11, 5, 1})
        (i % 3 ? one : two).settle(taken[static_cast<size_t>(i)], false);
    two.leave();
    std::vector<unsigned long> order;
    while (message *m = one.take())
        order.push_back(m->number);
    CHECK(order == (std::vector<unsigned long>{1, 2, 3, 4, 6, 7, 8, 10, 12, 13, 14, 15, 16, 17, 18,
                                               19, 20}));
}

// As many as there are messages, and one that has no use for it passes it on.
void no_more_are_woken_than_there_is_something_for()
{
    std::vector<std::unique_ptr<Peer>> peers;
    std::vector<std::unique_ptr<Place>> places;
    for (int i = 0; i < 10; i++) {
        peers.push_back(std::make_unique<Peer>());
        places.push_back(std::make_unique<Place>("q", QUEUE_TAKES, *peers.back()));
        CHECK(!places.back()->take());
    }
    Peer other;
    Place sender("q", QUEUE_PUTS, other);
    const auto woken = [&] {
        return std::count_if(peers.begin(), peers.end(), [](auto &p) { return p->woken(); });
    };
    sender.put();
    CHECK_EQ(woken(), 1);
    CHECK_EQ(peers[0]->woken(), 1u);
    CHECK_EQ(queue_woken(&peers[0]->queue), places[0].get());
    places[0]->pass();
    CHECK_EQ(peers[1]->woken(), 1u);
    // It leaves before it asks.
    places[1]->leave();
    CHECK_EQ(peers[2]->woken(), 1u);
    sender.put();
    CHECK_EQ(woken(), 4);
    // The first of them takes both: nobody else is woken, and the other waits again.
    CHECK(places[2]->take());
    message *second = places[2]->take();
    CHECK(second);
    CHECK(!places[3]->take());
    CHECK_EQ(woken(), 4);
    places[2]->settle(second, false);
    CHECK_EQ(woken(), 5);
    CHECK_EQ(all_wakes, 5u);
}

void names_that_a_cursor_is_at_stay()
{
    Peer peer;
    Place one("one", QUEUE_TAKES, peer), two("two", QUEUE_TAKES, peer);
    queue_cursor cursor = {};
    queue_numbers numbers;
    CHECK(queue_next(&cursor, &numbers));
    one.leave();
    CHECK_EQ(std::string(numbers.name), "one");
    CHECK(queue_next(&cursor, &numbers));
    CHECK_EQ(std::string(numbers.name), "two");
    CHECK_EQ(count_queues(), 1u);
    two.leave();
    queue_stop(&cursor);
    CHECK_EQ(count_queues(), 0u);
}

// Of those that are taken Proton's part is bounded; one at a time goes on in any case.
void as_many_are_taken_as_proton_may_keep()
{
    const auto before = queue_limits;
    queue_limits.message = 1024;
    queue_limits.queue = 64 * 1024;
    {
        Peer peer;
        Place sender("q", QUEUE_PUTS, peer), receiver("q", QUEUE_TAKES, peer);
        while (sender.put())
            ;
        const size_t messages = numbers_of("q").messages;
        CHECK_GE(messages * 64, queue_limits.queue);
        std::vector<message *> taken;
        while (message *m = receiver.take())
            taken.push_back(m);
        CHECK_GE(taken.size(), 32u);
        CHECK_LE(numbers_of("q").bytes, queue_limits.queue * 3 / 2);
        // It waits, and goes on once it has settled one.
        CHECK_EQ(peer.woken(), 0u);
        receiver.settle(taken[0], true);
        CHECK_EQ(queue_woken(&peer.queue), &receiver);
        CHECK(receiver.take());
        CHECK(!receiver.take());
    }
    queue_limits.message = 1000 * 1000;
    queue_limits.queue = 1001 * 1000;
    {
        Peer peer;
        Place sender("q", QUEUE_PUTS, peer), receiver("q", QUEUE_TAKES, peer);
        CHECK(sender.put(900 * 1000));
        CHECK(receiver.take());
    }
    queue_limits = before;
}

int set_up(void **)
{
    queue_limits.message = 64 * 1024;
    queue_limits.queue = size_t{1024} * 1024 * 1024;
    queue_limits.queues = 10000;
    wakes.clear();
    all_wakes = 0;
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
    all_wakes++;
    wakes[connection]++;
}

#define QUEUES_TEST(name) {#name, e2e::run_body<name>, set_up, tear_down, nullptr}

int main()
{
    const CMUnitTest tests[] = {
        QUEUES_TEST(what_was_released_comes_first_and_in_order),
        QUEUES_TEST(no_more_are_woken_than_there_is_something_for),
        QUEUES_TEST(names_that_a_cursor_is_at_stay),
        QUEUES_TEST(as_many_are_taken_as_proton_may_keep),
        QUEUES_TEST(a_heap_is_as_deep_as_it_may_be_whatever_is_done_with_it),
        QUEUES_TEST(released_messages_take_log_n_each),
        QUEUES_TEST(messages_of_a_link_that_ends_take_log_n_in_all),
        QUEUES_TEST(receivers_that_wait_cost_a_message_nothing),
        QUEUES_TEST(senders_that_wait_cost_a_message_nothing),
        QUEUES_TEST(queues_take_log_n_each),
        QUEUES_TEST(a_place_that_leaves_takes_log_n),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
