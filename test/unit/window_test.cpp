// A window: a bounded queue of bytes in one ring buffer.
#include "check.hpp"
#include "scripted_memory.hpp"
#include "test_main.hpp"
#include "window.hpp"

#include <cstring>
#include <deque>
#include <optional>
#include <random>
#include <string>
#include <vector>

using namespace lws_proton;

namespace {

constexpr uint32_t kCapacity = 64;

// A window with a buffer, empty, whose stored bytes will begin at `head`.
struct Fixture {
    explicit Fixture(uint32_t capacity = kCapacity, uint32_t head = 0) {
        CHECK(window.acquire(capacity));
        if (head) {
            CHECK_EQ(write(std::string(head, '-')), head);
            window.consume(head);
        }
    }

    uint32_t write(const std::string &bytes) { return window.write(bytes.data(), bytes.size()); }

    // What is there, and past it nothing is written to.
    std::string peek(size_t most) {
        std::string bytes(most, '\x5a');
        const size_t n = window.peek(bytes.data(), most);
        CHECK_EQ(bytes.substr(n), std::string(most - n, '\x5a'));
        return bytes.substr(0, n);
    }

    std::string read(size_t most) {
        std::string bytes(most, '\0');
        bytes.resize(window.read(bytes.data(), most));
        return bytes;
    }

    BufferPool pool;
    Window window{pool};
};

std::string text(Span span) {
    return std::string(reinterpret_cast<const char *>(span.data), span.size);
}

// 0, 1, 2 ...: any byte out of place shows
std::string counted(size_t n) {
    std::string bytes(n, '\0');
    for (size_t i = 0; i < n; i++)
        bytes[i] = static_cast<char>(i);
    return bytes;
}

void a_window_without_a_buffer_has_no_bytes_and_no_room() {
    BufferPool pool;
    Window window(pool);
    char byte = 'x';
    CHECK(!window.acquired());
    CHECK_EQ(window.capacity(), 0u);
    CHECK_EQ(window.used(), 0u);
    CHECK_EQ(window.room(), 0u);
    CHECK_EQ(window.stored().size, 0u);
    CHECK_EQ(window.space().size, 0u);
    CHECK_EQ(window.write(&byte, 1), 0u);
    CHECK_EQ(window.read(&byte, 1), 0u);
    CHECK_EQ(window.peek(&byte, 1), 0u);
    CHECK_EQ(byte, 'x');
    window.consume(0);
    window.release();  // means nothing
    CHECK_EQ(pool.bytes(), 0u);
}

void an_empty_window_is_all_space() {
    Fixture f;
    CHECK(f.window.acquired());
    CHECK_EQ(f.window.capacity(), kCapacity);
    CHECK_EQ(f.window.used(), 0u);
    CHECK_EQ(f.window.room(), kCapacity);
    CHECK_EQ(f.window.space().size, kCapacity);
    CHECK_EQ(f.window.stored().size, 0u);
    CHECK_EQ(f.read(1), "");
}

void a_full_window_takes_nothing() {
    Fixture f;
    CHECK_EQ(f.write(counted(kCapacity)), kCapacity);
    CHECK_EQ(f.window.room(), 0u);
    CHECK_EQ(f.window.space().size, 0u);
    CHECK(!f.window.space().data);
    CHECK_EQ(f.write("x"), 0u);
    CHECK_EQ(f.read(kCapacity + 1), counted(kCapacity));
    CHECK_EQ(f.window.used(), 0u);
}

void a_write_that_does_not_fit_is_taken_in_part() {
    Fixture f;
    CHECK_EQ(f.write(counted(kCapacity + 10)), kCapacity);
    CHECK_EQ(f.read(5), counted(5));
    CHECK_EQ(f.write("abcdefgh"), 5u);
    CHECK_EQ(f.read(1000), counted(kCapacity).substr(5) + "abcde");
}

void bytes_pass_one_at_a_time_in_order() {
    Fixture f;
    for (int i = 0; i < 1000; i++) {
        const char byte = static_cast<char>(i);
        CHECK_EQ(f.write(std::string(1, byte)), 1u);
        CHECK_EQ(f.window.used(), 1u);
        CHECK_EQ(f.read(1), std::string(1, byte));
        CHECK_EQ(f.window.used(), 0u);
    }
}

void a_write_wraps_around_the_end() {
    Fixture f(kCapacity, kCapacity - 3);
    CHECK_EQ(f.write("abcdefgh"), 8u);
    CHECK_EQ(text(f.window.stored()), "abc");
    CHECK_EQ(text(f.window.stored(3)), "defgh");
    CHECK_EQ(f.read(8), "abcdefgh");
}

void a_wrapped_window_can_be_full() {
    Fixture f(kCapacity, 10);
    CHECK_EQ(f.write(counted(kCapacity + 1)), kCapacity);
    CHECK_EQ(f.window.space().size, 0u);
    CHECK_EQ(f.window.stored().size, kCapacity - 10);
    CHECK_EQ(f.window.stored(kCapacity - 10).size, 10u);
    CHECK_EQ(f.read(kCapacity), counted(kCapacity));
}

void the_end_of_the_buffer_is_reached_exactly() {
    Fixture f(kCapacity, kCapacity - 4);
    CHECK_EQ(f.write("abcd"), 4u);
    CHECK_EQ(text(f.window.stored()), "abcd");
    CHECK_EQ(f.window.space().size, kCapacity - 4);  // from the front
    CHECK_EQ(f.read(4), "abcd");
    CHECK_EQ(f.write("efgh"), 4u);
    CHECK_EQ(text(f.window.stored()), "efgh");
}

void stored_bytes_can_be_skipped() {
    Fixture f(kCapacity, kCapacity - 4);
    CHECK_EQ(f.write("abcdefgh"), 8u);
    CHECK_EQ(text(f.window.stored(0)), "abcd");
    CHECK_EQ(text(f.window.stored(1)), "bcd");
    CHECK_EQ(text(f.window.stored(3)), "d");
    CHECK_EQ(text(f.window.stored(4)), "efgh");
    CHECK_EQ(text(f.window.stored(7)), "h");
    CHECK_EQ(f.window.stored(8).size, 0u);
    CHECK_EQ(f.window.stored(9).size, 0u);
    CHECK_EQ(f.window.stored(UINT32_MAX).size, 0u);
    CHECK_EQ(f.window.used(), 8u);
}

void space_is_contiguous_and_in_order() {
    Fixture f(kCapacity, 10);
    CHECK_EQ(f.write("abcd"), 4u);
    const Span first = f.window.space();
    CHECK_EQ(first.size, kCapacity - 14);
    memset(first.data, '1', first.size);
    f.window.commit(first.size);
    const Span second = f.window.space();
    CHECK_EQ(second.size, 10u);
    CHECK(second.data + kCapacity == first.data + first.size);
    memset(second.data, '2', second.size);
    f.window.commit(4);
    CHECK_EQ(f.window.room(), 6u);
    CHECK_EQ(f.read(1000), "abcd" + std::string(kCapacity - 14, '1') + "2222");
}

void space_does_not_move_while_stored_bytes_are_consumed() {
    Fixture f;
    CHECK_EQ(f.write("abcdefgh"), 8u);
    const Span before = f.window.space();
    CHECK_EQ(f.read(5), "abcde");
    CHECK(f.window.space().data == before.data);
    CHECK_EQ(f.window.space().size, before.size);
}

void stored_bytes_do_not_move_while_others_are_added() {
    Fixture f;
    CHECK_EQ(f.write("abcd"), 4u);
    const Span before = f.window.stored();
    CHECK_EQ(f.write("efgh"), 4u);
    CHECK(f.window.stored().data == before.data);
    CHECK_EQ(text(f.window.stored()), "abcdefgh");
}

void a_rewound_window_is_contiguous_again() {
    Fixture f(kCapacity, 40);
    CHECK_EQ(f.window.space().size, kCapacity - 40);
    f.window.rewind();
    CHECK_EQ(f.window.space().size, kCapacity);
    CHECK_EQ(f.write(counted(kCapacity)), kCapacity);
    CHECK_EQ(text(f.window.stored()), counted(kCapacity));
}

void a_peek_copies_and_leaves_the_bytes() {
    Fixture f(kCapacity, kCapacity - 3);
    CHECK_EQ(f.write("abcdefgh"), 8u);
    for (size_t most : {1u, 3u, 4u, 8u, 100u}) {
        const size_t n = std::min<size_t>(most, 8);
        CHECK_EQ(f.peek(most), std::string("abcdefgh").substr(0, n));
        CHECK_EQ(f.window.used(), 8u);
    }
    CHECK_EQ(text(f.window.stored()), "abc");
    CHECK_EQ(f.read(2), "ab");
    CHECK_EQ(f.peek(100), "cdefgh");
    CHECK_EQ(f.read(100), "cdefgh");
    CHECK_EQ(f.peek(1), "");
}

void nothing_is_read_or_written_by_zero() {
    Fixture f;
    CHECK_EQ(f.write(""), 0u);
    CHECK_EQ(f.write("ab"), 2u);
    CHECK_EQ(f.read(0), "");
    CHECK_EQ(f.peek(0), "");
    f.window.consume(0);
    CHECK_EQ(f.window.used(), 2u);
}

void a_released_window_has_lost_its_bytes() {
    Fixture f(kCapacity, 10);
    f.write("abc");
    f.window.release();
    CHECK(!f.window.acquired());
    CHECK_EQ(f.window.used(), 0u);
    CHECK_EQ(f.window.capacity(), 0u);
    CHECK(f.window.acquire(kCapacity));
    CHECK_EQ(f.window.used(), 0u);
    CHECK_EQ(f.window.space().size, kCapacity);
}

void no_memory_is_no_buffer() {
    BufferPool pool;
    Window window(pool);
    {
        const scripted::OutOfMemory none;
        CHECK(!window.acquire(kCapacity));
        CHECK_EQ(scripted::OutOfMemory::refused(), 1u);
    }
    CHECK(!window.acquired());
    CHECK_EQ(window.capacity(), 0u);
    CHECK_EQ(window.room(), 0u);
    CHECK_EQ(pool.bytes(), 0u);
    CHECK(window.acquire(kCapacity));  // when there is some again
    CHECK_EQ(pool.bytes(), kCapacity);
}

void a_window_gives_its_buffer_back_when_it_ends() {
    const scripted::LiveAllocations live(1024);
    std::optional<BufferPool> pool(std::in_place);
    {
        Window window(*pool);
        CHECK(window.acquire(4096));
        CHECK_EQ(live.count(), 1);
    }
    CHECK_EQ(pool->bytes(), 4096u);  // kept for the next
    pool.reset();
    CHECK_EQ(live.count(), 0);
}

// One step of the model test.
class Model {
public:
    explicit Model(uint32_t capacity) : fixture_(capacity) {}

    void step(std::mt19937 &random) {
        Window &window = fixture_.window;
        const uint32_t n = random() % (window.capacity() + 3);
        switch (random() % 7) {
        case 0:
            write(n);
            break;
        case 1:
            fill(n);
            break;
        case 2:
            CHECK_EQ(fixture_.read(n), take(n));
            break;
        case 3:
            consume(n);
            break;
        case 4:
            check_stored(n);
            break;
        case 5:
            if (bytes_.empty())
                window.rewind();
            break;
        case 6:
            CHECK_EQ(
                fixture_.peek(n),
                std::string(bytes_.begin(), bytes_.begin() + std::min<size_t>(n, bytes_.size())));
            break;
        }
        CHECK_EQ(window.used(), bytes_.size());
        CHECK_EQ(window.room(), window.capacity() - bytes_.size());
    }

private:
    std::string fresh(size_t n) {
        std::string bytes(n, '\0');
        for (char &byte : bytes)
            byte = static_cast<char>(next_++);
        return bytes;
    }

    std::string take(size_t n) {
        n = std::min(n, bytes_.size());
        std::string taken(bytes_.begin(), bytes_.begin() + n);
        bytes_.erase(bytes_.begin(), bytes_.begin() + n);
        return taken;
    }

    void write(uint32_t n) {
        const std::string bytes = fresh(n);
        const uint32_t fits = std::min(n, fixture_.window.capacity() - uint32_t(bytes_.size()));
        CHECK_EQ(fixture_.write(bytes), fits);
        bytes_.insert(bytes_.end(), bytes.begin(), bytes.begin() + fits);
    }

    // As a transport does, in place.
    void fill(uint32_t n) {
        const Span space = fixture_.window.space();
        CHECK_EQ(space.size > 0, bytes_.size() < fixture_.window.capacity());
        const std::string bytes = fresh(std::min(n, space.size));
        if (space.size)
            memcpy(space.data, bytes.data(), bytes.size());
        fixture_.window.commit(bytes.size());
        bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    }

    void consume(uint32_t n) {
        const uint32_t k = std::min(n, fixture_.window.stored().size);
        CHECK_EQ(text({fixture_.window.stored().data, k}), take(k));
        fixture_.window.consume(k);
    }

    void check_stored(uint32_t skip) {
        const Span span = fixture_.window.stored(skip);
        CHECK_EQ(span.size > 0, skip < bytes_.size());
        if (!span.size)
            return;
        CHECK_LE(skip + span.size, bytes_.size());
        CHECK_EQ(text(span), std::string(bytes_.begin() + skip, bytes_.begin() + skip + span.size));
    }

    Fixture fixture_;
    std::deque<uint8_t> bytes_;
    uint8_t next_ = 0;
};

void a_window_is_a_bounded_queue_whatever_is_done_to_it() {
    std::mt19937 random(20260821);
    for (uint32_t capacity : {8u, 9u, 64u, 1000u}) {
        Model model(capacity);
        for (int i = 0; i < 20000; i++)
            model.step(random);
    }
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        E2E_TEST(a_window_without_a_buffer_has_no_bytes_and_no_room),
        E2E_TEST(an_empty_window_is_all_space),
        E2E_TEST(a_full_window_takes_nothing),
        E2E_TEST(a_write_that_does_not_fit_is_taken_in_part),
        E2E_TEST(bytes_pass_one_at_a_time_in_order),
        E2E_TEST(a_write_wraps_around_the_end),
        E2E_TEST(a_wrapped_window_can_be_full),
        E2E_TEST(the_end_of_the_buffer_is_reached_exactly),
        E2E_TEST(stored_bytes_can_be_skipped),
        E2E_TEST(space_is_contiguous_and_in_order),
        E2E_TEST(space_does_not_move_while_stored_bytes_are_consumed),
        E2E_TEST(stored_bytes_do_not_move_while_others_are_added),
        E2E_TEST(a_rewound_window_is_contiguous_again),
        E2E_TEST(a_peek_copies_and_leaves_the_bytes),
        E2E_TEST(nothing_is_read_or_written_by_zero),
        E2E_TEST(a_released_window_has_lost_its_bytes),
        E2E_TEST(no_memory_is_no_buffer),
        E2E_TEST(a_window_gives_its_buffer_back_when_it_ends),
        E2E_TEST(a_window_is_a_bounded_queue_whatever_is_done_to_it),
    };
    return cmocka_run_group_tests_name("window", tests, nullptr, nullptr);
}
