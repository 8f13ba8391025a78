#include "scripted_memory.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <malloc.h>
#include <mutex>
#include <new>
#include <utility>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(bytes, size) ((void)(bytes), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(bytes, size) ((void)(bytes), (void)(size))
#endif

namespace scripted {

namespace {

constexpr int kFreed = 0xdd;  // what is used after it was freed does not look right

struct Refusal {
    bool on = false;
    OutOfMemory::Which which = OutOfMemory::nothrow;
    size_t at_least = 0;
    size_t spared = 0;
    size_t refused = 0;
};
Refusal refusal;

struct Counted {
    std::atomic<bool> on{false};
    std::atomic<size_t> at_least{0};
    std::atomic<long> live{0};
};
Counted counted;

struct Loan {
    const char *bytes;
    size_t size;
};
// Not a container that allocates: operator delete looks into it.
std::array<Loan, 8192> lent;
size_t lent_count;
size_t freed_count;
std::mutex lent_mutex;

void *allocate(size_t size, OutOfMemory::Which which) noexcept {
    if (refusal.on && refusal.which == which && size >= refusal.at_least) {
        if (!refusal.spared) {
            refusal.refused++;
            return nullptr;
        }
        refusal.spared--;
    }
    void *bytes = std::malloc(size ? size : 1);
    if (bytes && counted.on && malloc_usable_size(bytes) >= counted.at_least)
        counted.live++;
    return bytes;
}

void release(void *bytes) noexcept {
    if (!bytes)
        return;
    const size_t size = malloc_usable_size(bytes);
    if (counted.on && size >= counted.at_least)
        counted.live--;
    if (lent_count) {
        std::lock_guard<std::mutex> lock(lent_mutex);
        const char *begin = static_cast<char *>(bytes);
        for (size_t i = 0; i < lent_count; i++)
            if (lent[i].bytes >= begin && lent[i].bytes < begin + size)
                freed_count++;
    }
    memset(bytes, kFreed, size);
    asm volatile("" : : "r"(bytes) : "memory");  // or the compiler knows that nobody will look
    std::free(bytes);
}

}  // namespace

OutOfMemory::OutOfMemory(size_t at_least, Which which, size_t spared) noexcept {
    refusal = {true, which, at_least, spared, 0};
}

OutOfMemory::~OutOfMemory() {
    refusal.on = false;
}

size_t OutOfMemory::refused() noexcept {
    return refusal.refused;
}

LiveAllocations::LiveAllocations(size_t at_least) noexcept {
    counted.at_least = at_least;
    counted.live = 0;
    counted.on = true;
}

LiveAllocations::~LiveAllocations() {
    counted.on = false;
}

long LiveAllocations::count() const noexcept {
    return counted.live;
}

void lend(const void *bytes, size_t size) noexcept {
    std::lock_guard<std::mutex> lock(lent_mutex);
    if (lent_count == lent.size())
        std::abort();
    lent[lent_count++] = {static_cast<const char *>(bytes), size};
    ASAN_POISON_MEMORY_REGION(bytes, size);
}

void take_back(const void *bytes, size_t size) noexcept {
    std::lock_guard<std::mutex> lock(lent_mutex);
    ASAN_UNPOISON_MEMORY_REGION(bytes, size);
    const auto end = lent.begin() + lent_count;
    const auto loan = std::find_if(
        lent.begin(), end, [&](const Loan &l) { return l.bytes == bytes && l.size == size; });
    if (loan != end)
        *loan = lent[--lent_count];
}

size_t loans() noexcept {
    return lent_count;
}

void forget_loans() noexcept {
    std::lock_guard<std::mutex> lock(lent_mutex);
    for (size_t i = 0; i < lent_count; i++)
        ASAN_UNPOISON_MEMORY_REGION(lent[i].bytes, lent[i].size);
    lent_count = freed_count = 0;
}

size_t loans_freed() noexcept {
    return std::exchange(freed_count, 0);
}

Access::Access(const void *bytes, size_t size) noexcept : bytes_(bytes), size_(size) {
    ASAN_UNPOISON_MEMORY_REGION(bytes_, size_);
}

Access::~Access() {
    ASAN_POISON_MEMORY_REGION(bytes_, size_);
}

}  // namespace scripted

using scripted::OutOfMemory;

void *operator new(size_t size) {
    if (void *bytes = scripted::allocate(size, OutOfMemory::throwing))
        return bytes;
    throw std::bad_alloc();
}

void *operator new(size_t size, const std::nothrow_t &) noexcept {
    return scripted::allocate(size, OutOfMemory::nothrow);
}

void operator delete(void *bytes) noexcept {
    scripted::release(bytes);
}

void operator delete(void *bytes, size_t) noexcept {
    scripted::release(bytes);
}

void operator delete(void *bytes, const std::nothrow_t &) noexcept {
    scripted::release(bytes);
}
