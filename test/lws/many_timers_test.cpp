// SPDX-License-Identifier: MIT
//
// What lws's timers cost when there are many of them, and in which order they come.
#include "client_context.hpp"

#include "doubling.hpp"
#include "test_main.hpp"

#include <algorithm>
#include <map>
#include <numeric>
#include <random>
#include <thread>

namespace {

using namespace e2e;
using namespace lws_test;

const std::vector<int> kSizes = {20000, 40000, 80000};

// In a cache line of its own, as those of connections are.
struct alignas(64) Timer : lws_sorted_usec_list_t {
    Timer() : lws_sorted_usec_list_t{} {}
    lws_usec_t due = 0;
    int scheduled = 0;  // how many were scheduled before it
};
static_assert(sizeof(Timer) == 64);

std::vector<const Timer *> came;  // those of the Timers that there is

class Timers {
public:
    explicit Timers(int n) : timers_(static_cast<size_t>(n)) {
        came.clear();
        came.reserve(timers_.size());
    }
    ~Timers() {
        for (Timer &timer : timers_)
            lws_sul_cancel(&timer);
    }
    Timers(const Timers &) = delete;
    Timers &operator=(const Timers &) = delete;

    void schedule(int i, lws_usec_t from_now, bool wakes = false) {
        Timer &timer = timers_[static_cast<size_t>(i)];
        (wakes ? lws_sul_schedule_wakesuspend : lws_sul_schedule)(
            context_.get(), 0, &timer,
            [](lws_sorted_usec_list_t *sul) { came.push_back(static_cast<const Timer *>(sul)); },
            from_now);
        timer.due = timer.us;
        timer.scheduled = schedules_++;
    }
    void cancel(int i) { lws_sul_cancel(&timers_[static_cast<size_t>(i)]); }

    // One turn, when all of them are due.
    void let_all_come() {
        const auto last =
            std::max_element(timers_.begin(), timers_.end(),
                             [](const Timer &a, const Timer &b) { return a.due < b.due; });
        while (lws_now_usecs() <= last->due)
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        turn();
    }
    void turn() { lws_proton_loop_tick(lws_proton_loop_of(context_.get())); }

    lws_context *context() const { return context_.get(); }
    const Timer &operator[](int i) const { return timers_[static_cast<size_t>(i)]; }

private:
    Context context_;
    std::vector<Timer> timers_;
    int schedules_ = 0;
};

bool earlier(const Timer *a, const Timer *b) {
    return a->due != b->due ? a->due < b->due : a->scheduled < b->scheduled;
}

struct Pattern {
    bool same_timeout;
    enum { ascending, descending, random } order;

    lws_usec_t due(int i, lws_usec_t apart) const { return same_timeout ? 1 : i * apart; }
};

// In which order they are scheduled, and cancelled.
std::vector<int> order(int n, const Pattern &pattern) {
    std::vector<int> all(static_cast<size_t>(n));
    std::iota(all.begin(), all.end(), 0);
    if (pattern.order == Pattern::descending)
        std::reverse(all.begin(), all.end());
    if (pattern.order == Pattern::random)
        std::shuffle(all.begin(), all.end(), std::mt19937());
    return all;
}

// All of them are set, set again, cancelled and set once more. Then they come.
double use(int n, const Pattern &pattern) {
    constexpr lws_usec_t kFar = 1000 * LWS_US_PER_SEC;
    const std::vector<int> all = order(n, pattern);
    Timers timers(n);
    const double before = cpu_seconds();
    for (int round = 0; round < 2; round++)
        for (int i : all)
            timers.schedule(i, kFar + pattern.due(i, 100));
    for (int i : all)
        timers.cancel(i);
    for (int i : all)
        timers.schedule(i, pattern.due(i, 1));
    timers.let_all_come();
    const double took = cpu_seconds() - before;
    CHECK_EQ(came.size(), static_cast<size_t>(n));
    CHECK(std::is_sorted(came.begin(), came.end(), earlier));
    return took;
}

// The same, of a tree.
double use_tree(int n, const Pattern &pattern) {
    using Tree = std::multimap<lws_usec_t, int>;
    const std::vector<int> all = order(n, pattern);
    Tree tree;
    std::vector<Tree::iterator> timers(all.size(), tree.end());
    const auto at = [&](int i) -> Tree::iterator & { return timers[static_cast<size_t>(i)]; };
    const double before = cpu_seconds();
    for (int round = 0; round < 3; round++) {
        for (int i : all) {
            if (at(i) != tree.end())
                tree.erase(at(i));
            at(i) = tree.emplace(pattern.due(i, 1), i);
        }
    }
    while (!tree.empty())
        tree.erase(tree.begin());
    return cpu_seconds() - before;
}

std::string check_pattern(const char *name, const Pattern &pattern) {
    return check_doubling(
        name, kSizes, [&](int n) { return use(n, pattern); },
        [&](int n) { return use_tree(n, pattern); });
}

void twice_as_many_ascending_take_twice_as_long() {
    check_pattern("ascending", {false, Pattern::ascending});
}

void twice_as_many_descending_take_twice_as_long() {
    check_pattern("descending", {false, Pattern::descending});
}

void twice_as_many_with_the_same_timeout_take_twice_as_long() {
    check_pattern("same timeout", {true, Pattern::ascending});
}

void twice_as_many_at_random_take_twice_as_long() {
    const std::string figures = check_pattern("random", {false, Pattern::random});
    printf("security: many timers, due in random order | each costs log n steps | "
           "all of them, in order | %s\n",
           figures.c_str());
}

// As the timeouts of connections with traffic: of many, any is set again, or taken back.
void what_is_set_and_cancelled_at_random_comes_in_order() {
    constexpr int kTimers = 3000, kSteps = 60000;
    std::mt19937 random;
    std::uniform_int_distribution<int> which(0, kTimers - 1), what(0, 3);
    std::uniform_int_distribution<lws_usec_t> delay(0, 20 * LWS_US_PER_MS);
    Timers timers(kTimers);
    size_t seen = 0;
    for (int step = 0; step < kSteps; step++) {
        const int i = which(random);
        if (what(random))
            timers.schedule(i, delay(random), what(random) == 0);
        else
            timers.cancel(i);
        if (step % 1000)
            continue;
        // What is due comes, in order, and it alone.
        std::vector<const Timer *> due;
        for (int t = 0; t < kTimers; t++)
            if (timers[t].list.owner)
                due.push_back(&timers[t]);
        lws_usec_t earliest = 0;
        const bool wakeable = !lws_sul_earliest_wakeable_event(timers.context(), &earliest);
        if (wakeable)
            CHECK(std::any_of(due.begin(), due.end(),
                              [&](const Timer *t) { return t->due == earliest; }));
        timers.turn();
        const auto still =
            std::partition(due.begin(), due.end(), [](const Timer *t) { return !t->list.owner; });
        std::sort(due.begin(), still, earlier);
        CHECK_EQ(came.size() - seen, static_cast<size_t>(still - due.begin()));
        // Of those due at the same time, one that wakes may come before one that does not.
        for (size_t k = 0; seen < came.size(); k++, seen++)
            CHECK_EQ(came[seen]->due, due[k]->due);
        if (still != due.end() && seen)
            CHECK_GE((*std::min_element(still, due.end(), earlier))->due, came[seen - 1]->due);
    }
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        E2E_TEST(twice_as_many_ascending_take_twice_as_long),
        E2E_TEST(twice_as_many_descending_take_twice_as_long),
        E2E_TEST(twice_as_many_with_the_same_timeout_take_twice_as_long),
        E2E_TEST(twice_as_many_at_random_take_twice_as_long),
        E2E_TEST(what_is_set_and_cancelled_at_random_comes_in_order),
    };
    return cmocka_run_group_tests_name("many timers", tests, nullptr, nullptr);
}
