// The life-cycle table: each cell, and what must hold for every sequence of events.
#include "check.hpp"
#include "lifecycle.hpp"
#include "test_main.hpp"

#include <array>
#include <set>
#include <string>
#include <utility>
#include <vector>

using namespace lws_proton;

namespace {

using S = State;
using E = Event;

const std::array<State, kStates> kAllStates = {
    S::unconnected, S::opening, S::open, S::peer_closed, S::shut, S::half_gone,
    S::closing,     S::closed,  S::lost, S::unreached,   S::gone};
const std::array<Event, kEvents> kAllEvents = {E::connect,  E::connected,    E::peer_close,
                                               E::shutdown, E::close_unsent, E::close,
                                               E::drained,  E::disconnected};

const char *text(Event event) {
    static const char *const names[] = {"connect",      "connected", "peer_close", "shutdown",
                                        "close_unsent", "close",     "drained",    "disconnected"};
    return names[static_cast<int>(event)];
}

// Checks cells and remembers which.
class Cells {
public:
    // In each of `from`, `event` leads to `next` with `actions`.
    void lead(std::vector<State> from, Event event, State next, int actions) {
        for (State state : from)
            check(state, event, next, actions);
    }

    // In each of `in`, `event` means nothing.
    void ignored(std::vector<State> in, Event event) {
        for (State state : in)
            check(state, event, state, act_none);
    }

    size_t count() const { return checked_.size(); }

private:
    void check(State state, Event event, State next, int actions) {
        const Transition t = transition(state, event);
        const std::string cell = std::string(name(state)) + " on " + text(event);
        CHECK_EQ(cell + " -> " + name(t.next), cell + " -> " + name(next));
        CHECK_EQ(cell + " does " + std::to_string(t.actions),
                 cell + " does " + std::to_string(actions));
        CHECK(checked_.emplace(state, event).second);
    }

    std::set<std::pair<State, Event>> checked_;
};

void every_cell_is_as_stated() {
    Cells cells;

    // lws connects what it made for that, once. Until then there is no transport to say anything.
    cells.lead({S::unconnected}, E::connect, S::opening, act_none);
    cells.ignored({S::opening, S::open, S::peer_closed, S::shut, S::half_gone, S::closing,
                   S::closed, S::lost, S::unreached, S::gone},
                  E::connect);
    for (Event event : {E::connected, E::peer_close, E::shutdown, E::drained, E::disconnected})
        cells.ignored({S::unconnected}, event);

    // The transport connects once; later it has nothing new to say.
    cells.lead({S::opening}, E::connected, S::open, act_serve);
    cells.ignored({S::open, S::peer_closed, S::shut, S::half_gone, S::closing, S::closed, S::lost,
                   S::unreached, S::gone},
                  E::connected);

    // lws hears once that the peer has ended its stream, unless it has let go.
    cells.lead({S::opening, S::open}, E::peer_close, S::peer_closed, act_serve);
    cells.lead({S::shut}, E::peer_close, S::half_gone, act_serve);
    cells.ignored(
        {S::peer_closed, S::half_gone, S::closing, S::closed, S::lost, S::unreached, S::gone},
        E::peer_close);

    // lws ends its stream once, if there is one.
    cells.lead({S::open}, E::shutdown, S::shut, act_end_tx);
    cells.lead({S::peer_closed}, E::shutdown, S::half_gone, act_end_tx);
    cells.ignored(
        {S::opening, S::shut, S::half_gone, S::closing, S::closed, S::lost, S::unreached, S::gone},
        E::shutdown);

    // lws lets go, once, and what it leaves unsent lingers.
    cells.lead({S::opening, S::open, S::peer_closed, S::shut, S::half_gone}, E::close_unsent,
               S::closing, act_close | act_linger);
    cells.lead({S::opening, S::open, S::peer_closed, S::shut, S::half_gone}, E::close, S::closed,
               act_close);
    cells.ignored({S::closing, S::closed, S::gone}, E::close_unsent);
    cells.ignored({S::closing, S::closed, S::gone}, E::close);
    cells.lead({S::unconnected, S::lost, S::unreached}, E::close_unsent, S::gone, act_free);
    cells.lead({S::unconnected, S::lost, S::unreached}, E::close, S::gone, act_free);

    // Sending the last byte matters only to a connection that lingers.
    cells.lead({S::closing}, E::drained, S::closed, act_unlinger);
    cells.ignored({S::opening, S::open, S::peer_closed, S::shut, S::half_gone, S::closed, S::lost,
                   S::unreached, S::gone},
                  E::drained);

    // The transport lets go, once.
    cells.lead({S::opening}, E::disconnected, S::unreached, act_serve);
    cells.lead({S::open, S::peer_closed, S::shut, S::half_gone}, E::disconnected, S::lost,
               act_serve);
    cells.lead({S::closing}, E::disconnected, S::gone, act_unlinger | act_free);
    cells.lead({S::closed}, E::disconnected, S::gone, act_free);
    cells.ignored({S::lost, S::unreached, S::gone}, E::disconnected);

    CHECK_EQ(cells.count(), size_t(kStates * kEvents));
}

// What happened, told by the events alone, without a table.
struct History {
    bool begun = true;  // false: a client's, until lws connects it
    bool connected = false, peer_closed = false, shut = false;
    bool lws_let_go = false, transport_let_go = false;
    bool unsent = false;  // lws let go first and left bytes

    void happens(Event event) {
        // Nothing is there before lws has connected it, but lws may let go of that.
        if (!begun && event != E::connect && event != E::close && event != E::close_unsent)
            return;
        switch (event) {
        case E::connect:
            begun |= !over();
            break;
        case E::connected:
            connected |= !over();
            break;
        case E::peer_close:
            peer_closed |= !over();
            break;
        case E::shutdown:
            shut |= !over() && a_stream();
            break;
        case E::close_unsent:
            unsent |= begun && !over();
            lws_let_go = true;
            transport_let_go |= !begun;
            break;
        case E::close:
            lws_let_go = true;
            transport_let_go |= !begun;
            break;
        case E::drained:
            unsent = false;
            break;
        case E::disconnected:
            unsent = false;
            transport_let_go = true;
            break;
        }
    }

    bool a_stream() const { return connected || peer_closed; }
    bool over() const { return lws_let_go || transport_let_go; }

    State state() const {
        if (lws_let_go && transport_let_go)
            return S::gone;
        if (!begun)
            return S::unconnected;
        if (transport_let_go)
            return a_stream() ? S::lost : S::unreached;
        if (lws_let_go)
            return unsent ? S::closing : S::closed;
        if (peer_closed)
            return shut ? S::half_gone : S::peer_closed;
        if (shut)
            return S::shut;
        return connected ? S::open : S::opening;
    }
};

// How often each action was asked for.
struct Tally {
    int serve = 0, end_tx = 0, close = 0, linger = 0, unlinger = 0, free = 0;

    void count(int actions) {
        serve += !!(actions & act_serve);
        end_tx += !!(actions & act_end_tx);
        close += !!(actions & act_close);
        linger += !!(actions & act_linger);
        unlinger += !!(actions & act_unlinger);
        free += !!(actions & act_free);
    }
};

constexpr int kLongest = 6;

template <class Visit>
void for_each_step(const Visit &visit, State state, History history, Tally tally, int length) {
    if (length == kLongest)
        return;
    for (Event event : kAllEvents) {
        const Transition t = transition(state, event);
        History after = history;
        after.happens(event);
        Tally sum = tally;
        sum.count(t.actions);
        visit(history, event, t, after, sum);
        for_each_step(visit, t.next, after, sum, length + 1);
    }
}

// Calls `visit(before, event, transition, after, tally)` for each step of each sequence, of a
// connection that is accepted and of a client's.
template <class Visit>
void for_each_step(const Visit &visit) {
    for_each_step(visit, S::opening, {}, {}, 0);
    History client;
    client.begun = false;
    for_each_step(visit, S::unconnected, client, {}, 0);
}

void the_state_is_what_the_history_says() {
    size_t steps = 0;
    for_each_step(
        [&](const History &, Event event, Transition t, const History &after, const Tally &) {
            if (t.next != after.state())
                FAIL(std::string("after ") + text(event) + ": " + name(t.next) + ", not " +
                     name(after.state()));
            steps++;
        });
    CHECK_EQ(steps, size_t(2 * (8 + 64 + 512 + 4096 + 32768 + 262144)));
}

void it_is_freed_exactly_once_and_only_when_both_let_go() {
    for_each_step(
        [](const History &before, Event, Transition t, const History &after, const Tally &sum) {
            const bool both = after.lws_let_go && after.transport_let_go;
            CHECK(sum.free == both);
            // at the very step in which the second of them did
            CHECK(!!(t.actions & act_free) == (both && before.state() != S::gone));
        });
}

void lingering_begins_and_ends_in_turn() {
    for_each_step([](const History &, Event, Transition, const History &after, const Tally &sum) {
        CHECK(sum.linger <= 1);
        CHECK(sum.linger - sum.unlinger == (after.unsent ? 1 : 0));
        CHECK(!sum.free || sum.linger == sum.unlinger);
    });
}

void lws_is_not_served_once_it_let_go() {
    for_each_step(
        [](const History &before, Event event, Transition t, const History &after, const Tally &) {
            if (before.lws_let_go || after.lws_let_go)
                CHECK(!(t.actions & act_serve));
            // and hears of the transport's end, whenever that is
            else if (event == E::disconnected && before.begun && !before.transport_let_go)
                CHECK(t.actions & act_serve);
        });
}

void the_transport_is_asked_to_close_once_unless_it_is_gone() {
    for_each_step([](const History &before, Event event, Transition t, const History &after,
                     const Tally &sum) {
        CHECK(sum.close <= 1 && sum.end_tx <= 1);
        if (before.transport_let_go)
            CHECK(!(t.actions & (act_close | act_end_tx)));
        else if (after.lws_let_go && !before.lws_let_go)
            CHECK(!!(t.actions & act_close) == before.begun);
        if (event == E::shutdown && before.begun && !before.over())
            CHECK(!!(t.actions & act_end_tx) == (before.a_stream() && !before.shut));
    });
}

void a_repeated_event_changes_nothing() {
    for (State state : kAllStates) {
        for (Event event : kAllEvents) {
            // Both kinds of close say the same thing: lws lets go.
            const Transition once = transition(state, event);
            const Transition twice = transition(once.next, event);
            CHECK(twice.next == once.next);
            CHECK_EQ(int(twice.actions), int(act_none));
        }
    }
}

void a_connection_that_is_gone_stays_gone() {
    for (Event event : kAllEvents) {
        CHECK(transition(S::gone, event).next == S::gone);
        CHECK_EQ(int(transition(S::gone, event).actions), int(act_none));
    }
}

void every_state_has_a_name_of_its_own() {
    std::set<std::string> names;
    for (State state : kAllStates)
        names.insert(name(state));
    CHECK_EQ(names.size(), size_t(kStates));
    CHECK_EQ(std::string(name(S::half_gone)), "half_gone");
    CHECK_EQ(std::string(name(S::gone)), "gone");
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        E2E_TEST(every_cell_is_as_stated),
        E2E_TEST(the_state_is_what_the_history_says),
        E2E_TEST(it_is_freed_exactly_once_and_only_when_both_let_go),
        E2E_TEST(lingering_begins_and_ends_in_turn),
        E2E_TEST(lws_is_not_served_once_it_let_go),
        E2E_TEST(the_transport_is_asked_to_close_once_unless_it_is_gone),
        E2E_TEST(a_repeated_event_changes_nothing),
        E2E_TEST(a_connection_that_is_gone_stays_gone),
        E2E_TEST(every_state_has_a_name_of_its_own),
    };
    return cmocka_run_group_tests_name("lifecycle", tests, nullptr, nullptr);
}
