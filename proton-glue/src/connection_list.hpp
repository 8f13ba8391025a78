// SPDX-License-Identifier: MIT
#pragma once

#include "connection.hpp"

#include <cstddef>

namespace lws_proton {

// Connections in the order in which they came, linked by one of their own members: nothing to
// allocate, and one can be taken out of the middle.
template <Connection::Links Connection::*links>
class ConnectionList {
public:
    Connection *head() const noexcept { return head_; }
    static Connection *next(const Connection &c) noexcept { return (c.*links).next; }
    static bool has(const Connection &c) noexcept { return (c.*links).listed; }
    size_t size() const noexcept { return size_; }

    void push(Connection &c) noexcept {
        c.*links = {tail_, nullptr, true};
        (tail_ ? (tail_->*links).next : head_) = &c;
        tail_ = &c;
        size_++;
    }

    void pull(Connection &c) noexcept {
        Connection::Links &l = c.*links;
        (l.prev ? (l.prev->*links).next : head_) = l.next;
        (l.next ? (l.next->*links).prev : tail_) = l.prev;
        l = {};
        size_--;
    }

private:
    Connection *head_ = nullptr;
    Connection *tail_ = nullptr;
    size_t size_ = 0;
};

}  // namespace lws_proton
