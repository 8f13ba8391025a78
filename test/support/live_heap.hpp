// What a server that starts while this lives holds of malloc(): see live_heap.c, whose path the
// compile definition LIVE_HEAP is.
#pragma once

#include "temporary_directory.hpp"
#include "waiting.hpp"

#include <cstdlib>
#include <cstring>
#include <string>

namespace e2e {

class LiveHeap {
public:
    LiveHeap() {
        // A sanitizer has a malloc() of its own, which has to come first.
        if (kSanitized)
            return;
        setenv("LIVE_HEAP", directory_.file(kName).c_str(), 1);
        setenv("LD_PRELOAD", LIVE_HEAP, 1);
    }
    LiveHeap(const LiveHeap &) = delete;
    LiveHeap &operator=(const LiveHeap &) = delete;
    ~LiveHeap() {
        unsetenv("LD_PRELOAD");
        unsetenv("LIVE_HEAP");
    }

    // 0 with a sanitizer.
    size_t bytes() const {
        if (kSanitized)
            return 0;
        size_t bytes;
        const std::string file = directory_.read(kName);
        CHECK_EQ(file.size(), sizeof(bytes));
        memcpy(&bytes, file.data(), sizeof(bytes));
        return bytes;
    }

private:
    static constexpr const char *kName = "live-heap";
    TemporaryDirectory directory_;
};

}  // namespace e2e
