// SPDX-License-Identifier: MIT
#include "memory.hpp"

#include <lws_proton_amqp.h>

#include <atomic>

namespace lws_proton::amqp {

namespace {

std::atomic<size_t> held_bytes{0}, limit_bytes{LWS_PROTON_AMQP_MEMORY};

}  // namespace

void ProcessMemory::add(size_t bytes) noexcept {
    held_bytes.fetch_add(bytes, std::memory_order_relaxed);
}

void ProcessMemory::subtract(size_t bytes) noexcept {
    held_bytes.fetch_sub(bytes, std::memory_order_relaxed);
}

size_t ProcessMemory::held() noexcept {
    return held_bytes.load(std::memory_order_relaxed);
}

size_t ProcessMemory::limit() noexcept {
    return limit_bytes.load(std::memory_order_relaxed);
}

void ProcessMemory::set_limit(size_t bytes) noexcept {
    limit_bytes.store(bytes ? bytes : LWS_PROTON_AMQP_MEMORY, std::memory_order_relaxed);
}

}  // namespace lws_proton::amqp
