// The pool of the windows' buffers: what it keeps, and how it counts.
#include "buffer_pool.hpp"
#include "check.hpp"
#include "scripted_memory.hpp"
#include "test_main.hpp"

#include <cstring>
#include <optional>
#include <set>
#include <thread>
#include <utility>
#include <vector>

using namespace lws_proton;

namespace {

constexpr uint32_t kSize = 8192;
constexpr size_t kKept = 16;  // of each size
constexpr size_t kSizes = 4;  // that are kept

std::vector<uint8_t *> take(BufferPool &pool, size_t n, uint32_t size = kSize) {
    std::vector<uint8_t *> buffers;
    for (size_t i = 0; i < n; i++) {
        buffers.push_back(pool.take(size));
        CHECK(buffers.back());
        memset(buffers.back(), 0xee, size);  // all of it is the taker's
    }
    return buffers;
}

void give(BufferPool &pool, const std::vector<uint8_t *> &buffers, uint32_t size = kSize) {
    for (uint8_t *buffer : buffers)
        pool.give(buffer, size);
}

void a_new_pool_holds_nothing() {
    CHECK_EQ(BufferPool().bytes(), 0u);
}

void bytes_counts_what_is_taken_and_what_is_kept() {
    BufferPool pool;
    const auto buffers = take(pool, 3);
    CHECK_EQ(pool.bytes(), 3 * kSize);
    give(pool, buffers);
    CHECK_EQ(pool.bytes(), 3 * kSize);
    give(pool, take(pool, 2));
    CHECK_EQ(pool.bytes(), 3 * kSize);
}

void a_kept_buffer_is_taken_again() {
    BufferPool pool;
    const auto first = take(pool, 3);
    give(pool, first);
    const auto second = take(pool, 3);
    CHECK(std::set<uint8_t *>(first.begin(), first.end()) ==
          std::set<uint8_t *>(second.begin(), second.end()));
    give(pool, second);
}

void no_more_than_a_bounded_number_is_kept() {
    const scripted::LiveAllocations live(kSize);
    BufferPool pool;
    const auto buffers = take(pool, 2 * kKept);
    CHECK_EQ(pool.bytes(), 2 * kKept * kSize);
    give(pool, buffers);
    CHECK_EQ(pool.bytes(), kKept * kSize);
    CHECK_EQ(live.count(), long(kKept));
    give(pool, take(pool, kKept));  // and again, no more no less
    CHECK_EQ(pool.bytes(), kKept * kSize);
    CHECK_EQ(live.count(), long(kKept));
}

void each_size_is_kept_apart() {
    for (const auto &[first, second] : {std::pair(kSize, 8 * kSize), std::pair(8 * kSize, kSize)}) {
        BufferPool pool;
        give(pool, take(pool, kKept, first), first);
        CHECK_EQ(pool.bytes(), kKept * first);
        give(pool, take(pool, kKept, second), second);
        CHECK_EQ(pool.bytes(), kKept * first + kKept * second);
        // a large one is large, whatever was given before
        give(pool, take(pool, 2, first), first);
        give(pool, take(pool, 2, second), second);
    }
}

void a_size_too_many_works_and_is_not_kept() {
    BufferPool pool;
    for (uint32_t i = 1; i <= kSizes; i++)
        give(pool, take(pool, 1, i * kSize), i * kSize);
    const size_t kept = pool.bytes();
    CHECK_EQ(kept, (1 + 2 + 3 + 4) * kSize);
    const auto odd = take(pool, 2, 7 * kSize);
    CHECK_EQ(pool.bytes(), kept + 14 * kSize);
    give(pool, odd, 7 * kSize);
    CHECK_EQ(pool.bytes(), kept);
}

void no_memory_is_null_and_not_counted() {
    BufferPool pool;
    {
        const scripted::OutOfMemory none;
        CHECK(!pool.take(kSize));
        CHECK_EQ(pool.bytes(), 0u);
    }
    give(pool, take(pool, 1));
    {
        const scripted::OutOfMemory none;
        uint8_t *kept = pool.take(kSize);
        CHECK(kept);  // needs none
        CHECK(!pool.take(kSize));
        pool.give(kept, kSize);
    }
    CHECK_EQ(pool.bytes(), kSize);
}

void a_pool_that_ends_frees_what_it_kept() {
    const scripted::LiveAllocations live(kSize);
    std::optional<BufferPool> pool(std::in_place);
    give(*pool, take(*pool, 10));
    give(*pool, take(*pool, 10, 2 * kSize), 2 * kSize);
    CHECK_EQ(live.count(), 20);
    pool.reset();
    CHECK_EQ(live.count(), 0);
}

void threads_take_and_give_at_the_same_time() {
    BufferPool pool;
    const auto churn = [&pool](uint8_t mark) {
        for (int i = 0; i < 2000; i++) {
            uint8_t *buffer = pool.take(kSize);
            memset(buffer, mark, 64);
            for (int at = 0; at < 64; at++)
                if (buffer[at] != mark)
                    std::abort();  // another thread has it too
            pool.give(buffer, kSize);
        }
    };
    std::thread other(churn, 1);
    churn(2);
    other.join();
    CHECK_LE(pool.bytes(), 2 * kSize);
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        E2E_TEST(a_new_pool_holds_nothing),
        E2E_TEST(bytes_counts_what_is_taken_and_what_is_kept),
        E2E_TEST(a_kept_buffer_is_taken_again),
        E2E_TEST(no_more_than_a_bounded_number_is_kept),
        E2E_TEST(each_size_is_kept_apart),
        E2E_TEST(a_size_too_many_works_and_is_not_kept),
        E2E_TEST(no_memory_is_null_and_not_counted),
        E2E_TEST(a_pool_that_ends_frees_what_it_kept),
        E2E_TEST(threads_take_and_give_at_the_same_time),
    };
    return cmocka_run_group_tests_name("buffer_pool", tests, nullptr, nullptr);
}
