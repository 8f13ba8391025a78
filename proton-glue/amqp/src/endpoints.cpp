// SPDX-License-Identifier: MIT
#include "endpoints.hpp"

#include "encoding.hpp"

#include <algorithm>
#include <new>

namespace lws_proton::amqp {

namespace {

using Known = Fields::Known;

// More than a peer may have of either.
constexpr size_t kMost = 64 * 1024;
constexpr uint32_t kHandles = 1u << 31;

template <typename T, typename Key>
auto place(std::vector<T> &of, Key key) noexcept {
    return std::lower_bound(of.begin(), of.end(), key,
                            [](const T &one, Key k) { return one.key < k; });
}

// False: there is no memory for it.
template <typename T>
bool insert(std::vector<T> &into, typename std::vector<T>::iterator at, T what) noexcept {
    if (into.size() >= kMost)
        return false;
    try {
        into.insert(at, what);
    } catch (const std::bad_alloc &) {
        return false;
    }
    return true;
}

constexpr char kNoMemory[] = "out of memory";

}  // namespace

const char *Endpoints::open() noexcept {
    if (opened_)
        return "a second open";
    opened_ = true;
    return nullptr;
}

const char *Endpoints::begin(uint16_t channel, Fields fields) noexcept {
    const auto at = place(channels_, uint32_t{channel});
    if (at != channels_.end() && at->key == channel)
        return "the channel is in use";
    const Fields::Uint answers = fields.take_ushort();
    const uint32_t ours = answers.known == Known::yes ? answers.value : kUnanswered;
    if (ours != kUnanswered && std::any_of(channels_.begin(), channels_.end(),
                                           [=](const Channel &c) { return c.answers == ours; }))
        return "a second answer to a begin";
    return insert(channels_, at, Channel{channel, ours}) ? nullptr : kNoMemory;
}

void Endpoints::end(uint16_t channel) noexcept {
    const auto at = place(channels_, uint32_t{channel});
    if (at == channels_.end() || at->key != channel)
        return;
    channels_.erase(at);
    links_.erase(place(links_, key(channel, 0)), place(links_, key(channel, UINT32_MAX)));
}

const char *Endpoints::attach(uint16_t channel, Fields fields) noexcept {
    fields.skip();  // the name
    const Fields::Uint handle = fields.take_uint();
    const Fields::Bool receives = fields.take_bool();
    if (handle.value >= kHandles)
        return "a handle above 2^31 - 1";
    const Key link = key(channel, handle.value);
    const auto at = place(links_, link);
    if (at != links_.end() && at->key == link)
        return "the handle is in use";
    return insert(links_, at, Link{link, !receives.value, false}) ? nullptr : kNoMemory;
}

void Endpoints::detach(uint16_t channel, Fields fields) noexcept {
    const Key link = key(channel, fields.take_uint().value);
    const auto at = place(links_, link);
    if (at != links_.end() && at->key == link)
        links_.erase(at);
}

const char *Endpoints::transfer(uint16_t channel, Fields fields) noexcept {
    const Fields::Uint handle = fields.take_uint(), id = fields.take_uint();
    fields.skip(3);  // tag, format, settled
    const Fields::Bool more = fields.take_bool();
    fields.skip();  // rcv-settle-mode
    if (fields.has_value() && !fields.is_well_formed())
        return "a state that is cut off, or not well-formed";
    fields.skip(2);  // ... and resume
    const Fields::Bool aborted = fields.take_bool();
    if (aborted.known == Known::no)
        return "a transfer that is not well-formed, or has too long a tag";
    Link *const link = find(key(channel, handle.value));
    if (!link)
        return nullptr;
    if (!link->sends)
        return "a transfer by a link where the peer receives";
    if (more.value && id.known != Known::yes && !link->unfinished)
        return "a delivery without a delivery-id";
    link->unfinished = more.value && !aborted.value;
    return nullptr;
}

Endpoints::Link *Endpoints::find(Key key) noexcept {
    if (last_ < links_.size() && links_[last_].key == key)
        return &links_[last_];
    const auto at = place(links_, key);
    if (at == links_.end() || at->key != key)
        return nullptr;
    last_ = static_cast<size_t>(at - links_.begin());
    return &*at;
}

}  // namespace lws_proton::amqp
