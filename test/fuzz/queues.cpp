// SPDX-License-Identifier: MIT
//
// The broker's queues against a model: no message is lost, doubled or out of order, what they hold is
// bounded, and whoever waits for something that is there has been woken.
//
// An input is steps of two bytes: what is done, in the low half of the first, at which place, in its
// high half; and of how much, or how.
#include "harness.hpp"

#include <array>
#include <cstring>
#include <map>
#include <memory>
#include <optional>
#include <set>

extern "C" {
#include "queues.h"
}

namespace {

constexpr size_t kPlaces = 16, kPeers = 4, kNames = 4, kQueues = 3;
constexpr size_t kMessage = 1000, kQueue = 12000;

size_t wakes;

struct Peer {
    queue_peer queue{reinterpret_cast<pn_connection_t *>(this), {}};
    bool due = false;  // it was woken, and has not asked which of its places that was for
};

// What a queue should have: messages by their order, which is when they were put.
struct Model {
    uint64_t put = 0, consumed = 0;
    std::map<uint64_t, size_t> sizes;  // of all that are there, taken or not
    std::set<uint64_t> here;           // those that nobody has taken
    size_t places = 0, unsettled = 0, held = 0;

    size_t bytes() const {
        size_t sum = 0;
        for (const auto &[number, size] : sizes)
            sum += size;
        return sum;
    }
};

std::array<Model, kNames> models;

std::string name_of(size_t n) {
    return "queue " + std::string(n * 80, 'x');
}

class Place {
public:
    Place(size_t name, queue_use use, Peer &peer)
        : model_(models[name]), use_(use),
          place_(queue_enter(name_of(name).c_str(), use, &peer.queue, this)) {
        if (place_)
            model_.places++;
    }
    ~Place() {
        if (!place_)
            return;
        for (message *m : taken_) {
            model_.here.insert(number(m));
            forget(m);
        }
        model_.places--;
        queue_leave(place_);
    }
    Place(const Place &) = delete;

    explicit operator bool() const { return place_; }
    bool waits() const { return waits_; }
    queue_use use() const { return use_; }
    const Model &model() const { return model_; }

    bool put(size_t size) {
        message *m = queue_reserve(place_, size);
        waits_ = !m;
        if (!m)
            return false;
        fuzz::expect(m->size == size, "a message of another size");
        const uint64_t number = model_.put++;
        memset(m->bytes, static_cast<int>(number), size);
        memcpy(m->bytes, &number, sizeof(number));
        model_.sizes[number] = size;
        model_.here.insert(number);
        queue_put(place_, m);
        return true;
    }

    void has_room() {
        const bool room = queue_has_room(place_);
        waits_ = !room;
        if (!room)
            return;
        message *m = queue_reserve(place_, kMessage);
        fuzz::expect(m, "room, and no message has room");
        const uint64_t number = model_.put++;
        memset(m->bytes, static_cast<int>(number), kMessage);
        memcpy(m->bytes, &number, sizeof(number));
        model_.sizes[number] = kMessage;
        model_.here.insert(number);
        queue_put(place_, m);
    }

    bool take() {
        message *m = queue_take(place_);
        waits_ = !m;
        if (!m) {
            fuzz::expect(model_.here.empty() || model_.unsettled, "a message that nobody can take");
            return false;
        }
        fuzz::expect(!model_.here.empty(), "a message that is not there");
        fuzz::expect(number(m) == *model_.here.begin(), "not the oldest message");
        const size_t size = model_.sizes.at(number(m));
        fuzz::expect(m->size == size, "a message has changed its size");
        for (size_t i = sizeof(uint64_t); i < size; i++)
            fuzz::expect(static_cast<uint8_t>(m->bytes[i]) == static_cast<uint8_t>(number(m)),
                         "a message has changed");
        fuzz::expect(!model_.unsettled || model_.held + queue_held(m) <= kQueue / 2,
                     "more is unsettled than may be");
        model_.here.erase(number(m));
        model_.unsettled++;
        model_.held += queue_held(m);
        taken_.push_back(m);
        return true;
    }

    void settle(size_t which, bool consumed) {
        if (taken_.empty())
            return;
        message *&slot = taken_[which % taken_.size()];
        message *m = slot;
        slot = taken_.back();
        taken_.pop_back();
        if (consumed) {
            model_.sizes.erase(number(m));
            model_.consumed++;
        } else {
            model_.here.insert(number(m));
        }
        forget(m);
        queue_settle(place_, m, consumed);
    }

    // One that waits still is not looked at again until it asks: only the queue knows whether this
    // one had been woken.
    void pass() {
        waits_ = false;
        queue_pass(place_);
    }

    // As its connection does after a wake: asks, or is of no use.
    void woken(bool asks) {
        waits_ = false;
        if (!asks)
            pass();
        else if (use_ == QUEUE_TAKES)
            take();
        else
            has_room();
    }

    // Makes of what is taken again room for others.
    void settle_all(bool consumed) {
        while (!taken_.empty())
            settle(0, consumed);
    }

private:
    static uint64_t number(const message *m) {
        uint64_t number;
        memcpy(&number, m->bytes, sizeof(number));
        return number;
    }
    void forget(message *m) {
        model_.unsettled--;
        model_.held -= queue_held(m);
    }

    Model &model_;
    const queue_use use_;
    bool waits_ = false;
    std::vector<message *> taken_;
    place *const place_;
};

class Queues {
public:
    void step(uint8_t op, uint8_t byte) {
        wakes = 0;
        std::unique_ptr<Place> &slot = places_[op >> 4];
        if (!slot)
            enter(op >> 4, byte);
        else
            act(slot, op & 0x0f, byte);
        fuzz::expect(wakes <= allowed_, "more wakes than one call may have");
        check();
    }

    void finish() {
        queue_stop(&cursor_);
        cursor_ = {};
        come_to_rest();
        places_ = {};
        // What is left comes in its order.
        Peer peer;
        for (size_t name = 0; name < kNames; name++) {
            // Nobody enters another queue while all that may be are there.
            if (is_there(name)) {
                Place last(name, QUEUE_TAKES, peer);
                fuzz::expect(static_cast<bool>(last), "a queue that is there cannot be entered");
                while (last.take())
                    last.settle(0, true);
            }
            fuzz::expect(models[name].sizes.empty() && models[name].here.empty(), "messages are lost");
        }
        queue_numbers numbers;
        fuzz::expect(!queue_next(&cursor_, &numbers), "an empty queue stays");
        models = {};
    }

private:
    void enter(size_t slot, uint8_t byte) {
        const size_t name = byte & (kNames - 1);
        const bool full = queues() == kQueues && !is_there(name);
        auto place = std::make_unique<Place>(name, byte & 0x80 ? QUEUE_PUTS : QUEUE_TAKES,
                                             peers_[byte >> 2 & (kPeers - 1)]);
        fuzz::expect(static_cast<bool>(*place) != full, "too many queues, or too few");
        if (*place)
            places_[slot] = std::move(place);
    }

    void act(std::unique_ptr<Place> &slot, uint8_t op, uint8_t byte) {
        allowed_ = 2 * QUEUE_WAKES;
        const bool takes = slot->use() == QUEUE_TAKES;
        switch (op) {
        case 0:
        case 1:
        case 2:
            if (takes)
                slot->take();
            else
                slot->put(sizeof(uint64_t) + byte * 3u);
            return;
        case 3:
            return slot->settle(byte, true);
        case 4:
            return slot->settle(byte, false);
        case 5:
            if (takes)
                slot->take();
            else
                slot->has_room();
            return;
        case 6:
        case 7:
            return serve(peers_[byte & (kPeers - 1)], byte & 0x80, 1);
        case 8:
            return serve(peers_[byte & (kPeers - 1)], byte & 0x80, SIZE_MAX);
        case 9:
            return slot.reset();
        case 10:
            // Of one that was not woken it changes nothing.
            return slot->pass();
        case 11:
            allowed_ = SIZE_MAX;
            for (int i = 0; i < byte; i++)
                if (takes ? !slot->take() : !slot->put(sizeof(uint64_t)))
                    break;
            return;
        case 12:
            allowed_ = SIZE_MAX;
            return slot->settle_all(byte & 1);
        case 13:
            return come_to_rest();
        case 14: {
            queue_numbers numbers;
            if (queue_next(&cursor_, &numbers))
                fuzz::expect(strlen(numbers.name) <= QUEUE_NAME_MOST, "a name");
            return;
        }
        default:
            queue_stop(&cursor_);
            return;
        }
    }

    // Of a peer so many places, and it is due still if that is not all.
    void serve(Peer &peer, bool asks, size_t most) {
        allowed_ = SIZE_MAX;
        peer.due = false;
        while (most--) {
            void *woken = queue_woken(&peer.queue);
            if (!woken)
                return;
            static_cast<Place *>(woken)->woken(asks);
        }
        peer.due = true;
    }

    // Everybody who was woken asks, and what comes of that. Then nobody waits for what is there.
    void come_to_rest() {
        allowed_ = SIZE_MAX;
        bool any = true;
        for (int round = 0; any; round++) {
            fuzz::expect(round < 10000, "it never comes to rest");
            any = false;
            for (Peer &peer : peers_)
                if (peer.due) {
                    any = true;
                    serve(peer, true, SIZE_MAX);
                }
        }
        Peer peer;
        for (const auto &place : places_)
            if (place && place->waits()) {
                Place probe(static_cast<size_t>(&place->model() - models.data()), place->use(), peer);
                if (place->use() == QUEUE_TAKES)
                    fuzz::expect(!probe.take(), "a message, and nobody who waits was woken");
                else
                    fuzz::expect(!probe.put(kMessage), "room, and nobody who waits was woken");
            }
    }

    bool is_there(size_t name) const {
        queue_cursor cursor = {};
        queue_numbers numbers;
        bool found = false;
        while (queue_next(&cursor, &numbers))
            found |= name_of(name) == numbers.name;
        return found;
    }
    static size_t queues() {
        queue_cursor cursor = {};
        queue_numbers numbers;
        size_t count = 0;
        while (queue_next(&cursor, &numbers))
            count++;
        return count;
    }

    void check() const {
        queue_cursor cursor = {};
        queue_numbers numbers;
        size_t there = 0;
        while (queue_next(&cursor, &numbers)) {
            size_t name = 0;
            while (name_of(name) != numbers.name)
                name++;
            const Model &m = models[name];
            fuzz::expect(numbers.messages == m.here.size(), "a wrong count of messages");
            fuzz::expect(numbers.unsettled == m.unsettled, "a wrong count of unsettled messages");
            fuzz::expect(numbers.in - numbers.out == m.sizes.size(), "a wrong count");
            fuzz::expect(numbers.bytes >= m.bytes() + m.held, "less is told than it has");
            fuzz::expect(numbers.bytes <= m.bytes() + m.held + 80 * m.sizes.size(),
                         "more is told than it takes");
            fuzz::expect(numbers.bytes - m.held <= kQueue, "more than a queue may hold");
            there += m.places || !m.sizes.empty();
        }
        size_t expected = 0;
        for (const Model &m : models)
            expected += m.places || !m.sizes.empty();
        fuzz::expect(there == expected, "a queue is lost");
    }

    // Before the places, which are of them.
    std::array<Peer, kPeers> peers_;
    std::array<std::unique_ptr<Place>, kPlaces> places_;
    queue_cursor cursor_ = {};
    size_t allowed_ = 0;
};

}  // namespace

extern "C" void lws_proton_amqp_wake(pn_connection_t *connection) {
    wakes++;
    reinterpret_cast<Peer *>(connection)->due = true;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    queue_limits.message = kMessage;
    queue_limits.queue = kQueue;
    queue_limits.queues = kQueues;
    {
        Queues queues;
        for (size_t i = 0; i + 1 < size; i += 2)
            queues.step(data[i], data[i + 1]);
        queues.finish();
    }
    return 0;
}
