// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>

namespace lws_proton {

// What makes a T a member of a list.
template <typename T>
struct Links {
    T *prev = nullptr;
    T *next = nullptr;
    bool listed = false;
};

// Ts in the order in which they came, linked by one of their own members: nothing to allocate, and
// one can be taken out of the middle.
template <typename T, Links<T> T::*links>
class LinkedList {
public:
    T *head() const noexcept { return head_; }
    static T *next(const T &t) noexcept { return (t.*links).next; }
    static bool has(const T &t) noexcept { return (t.*links).listed; }
    size_t size() const noexcept { return size_; }

    void push(T &t) noexcept {
        t.*links = {tail_, nullptr, true};
        (tail_ ? (tail_->*links).next : head_) = &t;
        tail_ = &t;
        size_++;
    }

    void pull(T &t) noexcept {
        Links<T> &l = t.*links;
        (l.prev ? (l.prev->*links).next : head_) = l.next;
        (l.next ? (l.next->*links).prev : tail_) = l.prev;
        l = {};
        size_--;
    }

    // The first, taken out; null: it is empty.
    T *take() noexcept {
        T *first = head_;
        if (first)
            pull(*first);
        return first;
    }

private:
    T *head_ = nullptr;
    T *tail_ = nullptr;
    size_t size_ = 0;
};

}  // namespace lws_proton
