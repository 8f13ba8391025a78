// SPDX-License-Identifier: MIT
#pragma once

#include "messages.hpp"
#include "receiver.hpp"
#include "stream.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace ws_load {

// Where a connection goes, and what is sent over it.
struct Target {
    int port;
    SSL_CTX *tls;  // null: plain
    const Messages *messages;
};

// One client: connects, upgrades, and then sends messages and checks what comes back.
class Connection {
public:
    enum class State : uint8_t { opening, open, closing, ended };

    // Received bytes are looked at where they are: one buffer serves all connections of a thread.
    using Buffer = std::vector<uint8_t>;

    // Of all connections that are made, the `index`th. It sends messages from number `sends` on, and
    // receives them from number `receives` on. `inflated`: see Receiver.
    Connection(const Target &target, size_t index, uint64_t sends, uint64_t receives,
               Inflated *inflated);

    // After each event of epoll, whatever it was. The number of messages received. Throws a Failure.
    size_t proceed(Buffer &buffer);

    // Sends so many more messages, as soon as it can. Once it is open.
    void send(uint64_t messages);
    // What has not even begun to be sent stays unsent. The number of messages sent in all.
    uint64_t stop_sending();

    // Begins the closing handshake. proceed() goes on with it, until it has ended.
    void close();

    State state() const { return state_; }
    int fd() const { return stream_.fd(); }
    size_t index() const { return index_; }
    bool wants_write() const { return stream_.wants_write(); }

private:
    void open();
    bool upgraded(Buffer &buffer, size_t *messages);
    size_t receive(Buffer &buffer);
    void flush();
    bool write_all(std::string_view *bytes);

    const Messages &messages_;
    size_t index_;
    Stream stream_;
    Receiver receiver_;
    State state_ = State::opening;
    std::string request_, response_;
    // Bytes that are not messages: of the upgrade's request, of the close frame.
    std::string_view other_;
    uint64_t next_;    // the first message that is not wholly sent
    size_t begun_ = 0; // bytes of it that were
    uint64_t end_;     // and up to here they are to be sent
    uint64_t sends_;   // where it began
};

}  // namespace ws_load
