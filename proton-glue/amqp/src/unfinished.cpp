// SPDX-License-Identifier: MIT
#include "unfinished.hpp"

#include <algorithm>
#include <new>

namespace lws_proton::amqp {

namespace {

using Known = Fields::Known;

// More than a peer may have links.
constexpr size_t kMost = 64 * 1024;

}  // namespace

bool Unfinished::transfer(uint16_t channel, Fields fields) noexcept {
    const Fields::Uint handle = fields.take_uint(), id = fields.take_uint();
    fields.skip(3);  // tag, format, settled
    const Fields::Bool more = fields.take_bool();
    const bool may_be_more = more.known == Known::no || more.value;
    if (!may_be_more && keys_.empty())
        return true;
    const Key link = key(channel, handle.value);
    const bool begun = handle.known != Known::no && has(link);
    if (may_be_more && id.known != Known::yes && !begun)
        return false;
    fields.skip(3);  // rcv-settle-mode, state, resume
    const Fields::Bool aborted = fields.take_bool();
    if (more.value && aborted.known != Known::no && !aborted.value && handle.known != Known::no)
        return add(link);
    remove(channel, handle);
    return true;
}

void Unfinished::attach(uint16_t channel, Fields fields) noexcept {
    if (keys_.empty())
        return;
    fields.skip();  // the name
    remove(channel, fields.take_uint());
}

void Unfinished::detach(uint16_t channel, Fields fields) noexcept {
    if (!keys_.empty())
        remove(channel, fields.take_uint());
}

void Unfinished::session(uint16_t channel) noexcept {
    remove(key(channel, 0), key(channel, UINT32_MAX));
}

bool Unfinished::has(Key key) const noexcept {
    return std::binary_search(keys_.begin(), keys_.end(), key);
}

bool Unfinished::add(Key key) noexcept {
    const auto at = std::lower_bound(keys_.begin(), keys_.end(), key);
    if (at != keys_.end() && *at == key)
        return true;
    if (keys_.size() >= kMost)
        return false;
    try {
        keys_.insert(at, key);
    } catch (const std::bad_alloc &) {
        return false;
    }
    return true;
}

// Of a handle that is not known, all of the channel.
void Unfinished::remove(uint16_t channel, Fields::Uint handle) noexcept {
    if (handle.known == Known::no)
        session(channel);
    else
        remove(key(channel, handle.value), key(channel, handle.value));
}

void Unfinished::remove(Key first, Key last) noexcept {
    if (!keys_.empty())
        keys_.erase(std::lower_bound(keys_.begin(), keys_.end(), first),
                    std::upper_bound(keys_.begin(), keys_.end(), last));
}

}  // namespace lws_proton::amqp
