// Memory under the script's control: allocations fail when a test says so, what is freed is spoilt,
// and a buffer that is lent to Proton may be neither freed nor (under AddressSanitizer) touched
// until it is taken back.
#pragma once

#include <cstddef>
#include <limits>

namespace scripted {

// While one lives, allocations of at least `at_least` bytes fail, after the first `spared` of them.
// `which` says what kind: the glue asks for buffers and connections with the nothrow form, which
// tests and the standard library never use.
class OutOfMemory {
public:
    enum Which { nothrow, throwing };
    explicit OutOfMemory(size_t at_least = 0, Which which = nothrow, size_t spared = 0) noexcept;
    ~OutOfMemory();
    OutOfMemory(const OutOfMemory &) = delete;
    OutOfMemory &operator=(const OutOfMemory &) = delete;

    // How many allocations were refused by the one that lives, or was the last to live.
    static size_t refused() noexcept;
};

// Allocations that are not freed yet, of at least `at_least` bytes.
class LiveAllocations {
public:
    explicit LiveAllocations(size_t at_least) noexcept;
    ~LiveAllocations();
    LiveAllocations(const LiveAllocations &) = delete;
    LiveAllocations &operator=(const LiveAllocations &) = delete;

    // Made minus freed since it began to count.
    long count() const noexcept;
};

// Bytes that belong to Proton at the moment.
void lend(const void *bytes, size_t size) noexcept;
void take_back(const void *bytes, size_t size) noexcept;
size_t loans() noexcept;
void forget_loans() noexcept;
// Loans that were freed while they were lent, since the last call.
size_t loans_freed() noexcept;

// Proton's own access to what is lent to it.
class Access {
public:
    Access(const void *bytes, size_t size) noexcept;
    ~Access();
    Access(const Access &) = delete;
    Access &operator=(const Access &) = delete;

private:
    const void *bytes_;
    size_t size_;
};

}  // namespace scripted
