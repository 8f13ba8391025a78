// SPDX-License-Identifier: MIT
//
// What the fuzzers share: one lws context a process, and peers of it over the driver transport.
#pragma once

#include <libwebsockets.h>
#include <lws_proton.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace fuzz {

// Ends the process as a finding of the fuzzer.
[[noreturn]] void finding(const char *what);

inline void expect(bool good, const char *what) {
    if (!good)
        finding(what);
}

// What lws reads at a time, in bytes, if it is set before the context is made.
extern size_t piece;

// The process's context; made at the first call.
lws_context *context();
lws_proton_loop_t *loop();

// A vhost that listens nowhere.
lws_vhost *make_vhost(const char *name, lws_context_creation_info info);

// The site of the http fuzzers: files, a login, redirects, bodies, an event stream, a WebSocket.
lws_context_creation_info site();

// A WebSocket echo with permessage-deflate.
lws_context_creation_info echo();

// Runs what is left to do, without waiting, until no connection is left. Call it at the end of each
// input.
void expect_no_connections();

// How an input is fed: its first three bytes. Printable, so that a seed is easily written.
struct Manner {
    // '0': as much as there is room for; '1' to '9': so many bytes at a time; any other: pieces of
    // various sizes, the byte chooses which.
    uint8_t feed = '0';
    // '0': all output at once; '1' to '4': 8, 64, 512, 4096 bytes at a time; any other: none before
    // all the input is in, or nothing moves.
    uint8_t take = '0';
    // How the peer leaves: 'e' ends its stream and reads to the end; 'c' resets; any other is gone.
    uint8_t end = 'e';

    // Takes it off the input.
    static Manner of(std::string_view &input);
};

class Peer {
public:
    explicit Peer(Manner manner = {});
    // Of a driver that is there already; the peer's from now on.
    Peer(Manner manner, lws_proton_driver_t *driver);
    ~Peer();
    Peer(const Peer &) = delete;
    Peer &operator=(const Peer &) = delete;

    // As a server's connection, of a vhost.
    void adopt(lws_vhost *vhost);

    // Moves bytes both ways until nothing moves. Returns how many went in: less than all only if
    // lws wants no more.
    size_t exchange(std::string_view bytes);
    // The end of the stream, a reset or nothing, as the manner says.
    void leave();

    // Until it is taken, here is what lws sent.
    std::string received;
    // Given what lws sent, in place of `received`.
    std::function<void(std::string_view)> on_output;

    lws_proton_driver_t *driver() const { return driver_; }

private:
    size_t piece(size_t room, size_t left);
    bool feed(std::string_view &bytes);
    bool take(bool everything);

    Manner manner_;
    uint32_t random_;
    size_t fed_ = 0, taken_ = 0;
    lws_proton_driver_t *driver_;
};

// One connection for the whole of an input: `prologue` in one go, then the rest as its manner is.
void converse(lws_vhost *vhost, std::string_view prologue, std::string_view input);

}  // namespace fuzz
