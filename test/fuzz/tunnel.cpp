// SPDX-License-Identifier: MIT
//
// The gateway's tunnel, between a WebSocket client and a broker. The input is a schedule of what both of
// them do: what they send, in which pieces, how much they read, and when and how they end. A model knows
// each byte that has to come. A driver is served only when something said that it has to be.
//
// An input is the manner of the first connection, then steps of two bytes: what is done, in the low half
// of the first, and flags in its high half; and how much, or how.
#include "harness.hpp"
#include "tunnel.hpp"
#include "upgrade.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <memory>
#include <new>

#include <sanitizer/allocator_interface.h>

namespace {

using gateway::Pipe;
using gateway::Tunnel;

// As in the gateway.
const bool kPiecesAreSet = (fuzz::piece = Pipe::kPiece, true);

constexpr size_t kBrokers = 2;
// What waits in a client to be fed, at most.
constexpr size_t kMostWire = 128 * 1024;
constexpr size_t kMostFrame = 32 * 1024 + 14;
// Before that much time nothing ends a connection that does something.
constexpr lws_usec_t kSoon = 4 * LWS_US_PER_SEC;
// And after this nothing is waited for any more that has been begun before.
constexpr lws_usec_t kLong = 30 * LWS_US_PER_SEC;

enum : uint8_t { kContinuation = 0, kText = 1, kBinary = 2, kClose = 8, kPing = 9, kPong = 10 };
constexpr uint8_t kFin = 0x80, kMasked = 0x80;

// lws's clock: an input says when time passes.
lws_usec_t now = 1000 * LWS_US_PER_SEC;

// The address of the client; null: it is not known.
const char *client_address;

// What all but the fuzzer itself has from malloc(), in bytes.
std::atomic<size_t> allocated{0};

void count_malloc(const volatile void *, size_t size) {
    allocated += size;
}
void count_free(const volatile void *p) {
    allocated -= __sanitizer_get_allocated_size(const_cast<const void *>(p));
}

// Byte `i` of a stream that is unlike itself wherever it is cut.
uint8_t numbered(uint64_t stream, uint64_t i) {
    const uint64_t x = (i + 1) * 0x9e3779b97f4a7c15u + stream * 0xd6e8feb86659fd93u;
    return static_cast<uint8_t>(x >> 56 ^ x >> 29);
}
constexpr uint64_t kUp = 0, kDown = 1;

size_t amount(uint8_t byte) {
    return byte < 128 ? byte : size_t{1} << (byte & 15);
}

// The end of a connection of the gateway's that the fuzzer moves.
class Side {
public:
    ~Side() { free(); }

    void start(lws_proton_driver_t *driver) {
        driver_ = driver;
        fuzz::expect(driver_, "no driver");
        lws_proton_driver_set_wake(driver_, wake, this);
        due_ = true;
    }
    static void wake(void *self) { static_cast<Side *>(self)->due_ = true; }

    lws_proton_driver_t *driver() const { return driver_; }
    bool ended() const { return ended_; }
    bool lost() const { return lost_; }

    template <typename Fill>
    size_t feed(size_t most, Fill fill) {
        if (!driver_ || ended_)
            return 0;
        const pn_rwbytes_t in = lws_proton_driver_read_buffer(driver_);
        const size_t n = std::min(most, in.size);
        if (!n)
            return 0;
        fill(reinterpret_cast<uint8_t *>(in.start), n);
        lws_proton_driver_read_done(driver_, n);
        due_ = true;
        return n;
    }

    template <typename Use>
    size_t take(size_t most, Use use) {
        if (!driver_ || lost_)
            return 0;
        const pn_bytes_t out = lws_proton_driver_write_buffer(driver_);
        const size_t n = std::min(most, out.size);
        if (!n)
            return 0;
        use(reinterpret_cast<const uint8_t *>(out.start), n);
        lws_proton_driver_write_done(driver_, n);
        due_ = true;
        return n;
    }

    void end() {
        if (!driver_ || ended_)
            return;
        lws_proton_driver_read_close(driver_);
        ended_ = due_ = true;
    }

    void reset() {
        if (!driver_ || lost_)
            return;
        lws_proton_driver_write_close(driver_);
        lost_ = ended_ = due_ = true;
    }

    bool serve_if_due() {
        if (!driver_ || !due_)
            return false;
        due_ = false;
        if (lws_proton_driver_service(driver_))
            due_ = true;
        return true;
    }

    bool closed() const { return !driver_ || lws_proton_driver_write_closed(driver_); }

    void free() {
        lws_proton_driver_free(driver_);
        driver_ = nullptr;
    }

private:
    lws_proton_driver_t *driver_ = nullptr;
    bool due_ = false, ended_ = false, lost_ = false;
};

class Round;
Round *round;

// What the client has in its output buffer; not on the heap, which is counted.
std::array<uint8_t, kMostWire + kMostFrame> wire;

gateway::Options options() {
    gateway::Options o;
    for (size_t i = 0; i < kBrokers; i++)
        o.brokers.push_back({"broker", 5672, "broker:5672"});
    // Whoever comes after it is let in only if the last one has left nothing.
    o.max_connections = o.max_per_address = 1;
    return o;
}

gateway::Site &site() {
    static const gateway::Options the_options = options();
    static gateway::Site the_site(the_options);
    return the_site;
}

// From the accept of a client to the end of both sides.
class Round {
public:
    explicit Round(uint8_t manner);
    ~Round() { round = nullptr; }
    Round(const Round &) = delete;
    Round &operator=(const Round &) = delete;

    void step(uint8_t op, uint8_t byte);
    void finish(uint8_t how);

    // lws asks for the broker.
    int dial(lws_proton_driver_t *driver);
    // lws's callbacks for the WebSocket and the broker's connection.
    void on_websocket(lws *wsi, lws_callback_reasons reason, void *user);
    void on_broker(lws_callback_reasons reason);

private:
    void add(uint8_t opcode, bool fin, const void *payload, size_t size);
    void add_data(size_t size, bool fin);
    void add_special(uint8_t op, uint8_t byte);
    void put(const void *bytes, size_t size);
    void feed_client(size_t most);
    void client_got(const uint8_t *bytes, size_t size);
    void frame_began(uint8_t opcode, uint64_t size);
    bool take_client(size_t most);
    void feed_broker(size_t most);
    bool take_broker(size_t most);
    void connected(int error);
    void end_client(bool reset);
    void end_broker(bool reset);
    void stop();
    void pass(lws_usec_t time);
    bool serve(bool client, bool broker);
    void settle();
    void check_memory() const;

    const size_t before_ = allocated;
    const lws_usec_t begun_ = now;
    const uint8_t manner_;
    const bool admitted_;
    Side client_;
    std::array<Side, kBrokers> brokers_;
    size_t dialed_ = 0;
    bool answered_ = false;  // whether the last dialed broker has connected, or not
    bool linked_ = false;
    bool in_time_ = false;  // the client was there still
    lws *ws_ = nullptr;
    void *user_ = nullptr;

    // The client's output: frames whose payload is the stream.
    size_t at_ = 0, end_ = 0;
    size_t request_;  // what is left of it: nothing may follow it before it is answered
    uint64_t sent_ = 0, masks_ = 0;
    bool in_message_ = false;
    bool said_close_ = false, broke_rules_ = false, stopped_ = false, gone_ = false;
    uint64_t received_ = 0;  // by the broker

    uint64_t broker_sent_ = 0, client_received_ = 0;
    // What the client has got: the head of the answer, then frames.
    std::array<char, 2048> head_;
    size_t head_size_ = 0;
    bool upgraded_ = false, refused_ = false;
    std::array<uint8_t, 10> header_;
    size_t header_size_ = 0;
    uint8_t opcode_ = 0;
    uint64_t payload_ = 0;  // left of the frame
    bool got_close_ = false;
};

const char *subprotocol(uint8_t manner) {
    constexpr const char *names[] = {"amqp", "amqp", "amqp", "AMQPWSB10, amqp",
                                     "binary", "amqp", "", "another"};
    return names[manner & 7];
}

lws_vhost *clients() {
    static lws_vhost *const vhost = [] {
        static std::array<lws_protocols, 5> protocols;
        std::copy_n(gateway::kProtocols, protocols.size(), protocols.begin());
        for (size_t i = 1; i + 1 < protocols.size(); i++)
            protocols[i].callback = [](lws *wsi, lws_callback_reasons reason, void *user, void *in,
                                       size_t len) {
                if (round)
                    round->on_websocket(wsi, reason, user);
                return gateway::kProtocols[1].callback(wsi, reason, user, in, len);
            };
        lws_context_creation_info info = {};
        info.protocols = protocols.data();
        info.user = &site();
        return fuzz::make_vhost("tunnel", info);
    }();
    return vhost;
}

Round::Round(uint8_t manner)
    : manner_(manner), admitted_((manner & 7) < 6 && !(manner & 0x80)) {
    constexpr const char *addresses[] = {nullptr, "192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1"};
    round = this;
    client_address = addresses[manner >> 5 & 3];
    site().draining = manner & 0x80;
    client_.start(lws_proton_driver_new(fuzz::loop(), 0, nullptr, nullptr));
    fuzz::expect(lws_adopt_socket_vhost(clients(), lws_proton_driver_conn(client_.driver())),
                 "not adopted, and nobody else has its address");
    const std::string request = fuzz::upgrade({}, subprotocol(manner));
    put(request.data(), request.size());
    request_ = request.size();
    if (!(manner & 8)) {
        feed_client(SIZE_MAX);
        serve(true, true);
    }
}

void Round::put(const void *bytes, size_t size) {
    memcpy(&wire[end_], bytes, size);
    end_ += size;
}

void Round::add(uint8_t opcode, bool fin, const void *payload, size_t size) {
    if (end_ - at_ > kMostWire - kMostFrame)
        return;
    memmove(wire.data(), &wire[at_], end_ - at_);
    end_ -= at_;
    at_ = 0;
    // Of every other frame the mask is not zeros.
    const uint64_t random = masks_++ & 1 ? masks_ * 0x9e3779b97f4a7c15u : 0;
    uint8_t header[14] = {static_cast<uint8_t>(opcode | (fin ? kFin : 0)), kMasked};
    size_t n = 2;
    if (size < 126) {
        header[1] |= static_cast<uint8_t>(size);
    } else {
        const size_t bytes = size < 65536 ? 2 : 8;
        header[1] |= bytes == 2 ? 126 : 127;
        for (size_t i = bytes; i--;)
            header[n++] = static_cast<uint8_t>(uint64_t{size} >> 8 * i);
    }
    const uint8_t *mask = &header[n];
    memcpy(&header[n], &random, 4);
    put(header, n + 4);
    for (size_t i = 0; i < size; i++)
        wire[end_++] = static_cast<const uint8_t *>(payload)[i] ^ mask[i & 3];
}

void Round::add_data(size_t size, bool fin) {
    static std::array<uint8_t, kMostFrame> payload;
    if (said_close_ || client_.ended() || end_ - at_ > kMostWire - kMostFrame)
        return;
    for (size_t i = 0; i < size; i++)
        payload[i] = numbered(kUp, sent_ + i);
    add(in_message_ ? kContinuation : kBinary, fin, payload.data(), size);
    sent_ += size;
    in_message_ = !fin;
}

// Control frames, and what is against the rules.
void Round::add_special(uint8_t op, uint8_t byte) {
    uint8_t payload[128] = {};
    if (said_close_ || client_.ended())
        return;
    switch (op >> 4) {
    case 0:
    case 1:
        return add(kPing, true, payload, std::min<size_t>(byte, 125));
    case 2:
    case 3:
        memcpy(payload, "idle", 4);
        return add(kPong, true, payload, std::min<size_t>(byte, 125));
    case 4:
    case 5:
        // With a code, or without.
        payload[0] = static_cast<uint8_t>((1000 + byte) >> 8);
        payload[1] = static_cast<uint8_t>(1000 + byte);
        add(kClose, true, payload, byte & 1 ? 2 : 0);
        said_close_ = true;
        // Half a message is no message's end.
        broke_rules_ |= in_message_;
        return;
    case 6:
        broke_rules_ = true;
        return add(kText, true, payload, byte & 127);
    case 7:
        broke_rules_ = true;
        return add(byte & 0x7f, byte & 0x80, payload, byte & 127);
    default:
        broke_rules_ = true;
        if (end_ < wire.size())
            put(&byte, 1);
    }
}

void Round::feed_client(size_t most) {
    const size_t n = client_.feed(std::min(most, upgraded_ ? end_ - at_ : request_),
                                  [this](uint8_t *to, size_t n) { memcpy(to, &wire[at_], n); });
    at_ += n;
    request_ -= upgraded_ ? 0 : n;
}

void Round::feed_broker(size_t most) {
    if (!linked_)
        return;
    broker_sent_ += brokers_[dialed_ - 1].feed(most, [this](uint8_t *to, size_t n) {
        for (size_t i = 0; i < n; i++)
            to[i] = numbered(kDown, broker_sent_ + i);
    });
}

bool Round::take_broker(size_t most) {
    if (!linked_)
        return false;
    return brokers_[dialed_ - 1].take(most, [this](const uint8_t *from, size_t n) {
        fuzz::expect(broke_rules_ || received_ + n <= sent_, "bytes that the client did not send");
        for (size_t i = 0; i < n; i++)
            fuzz::expect(broke_rules_ || from[i] == numbered(kUp, received_ + i),
                         "bytes of the client are lost, doubled or out of order");
        received_ += n;
    });
}

bool Round::take_client(size_t most) {
    return client_.take(most, [this](const uint8_t *from, size_t n) { client_got(from, n); });
}

void Round::client_got(const uint8_t *bytes, size_t size) {
    for (; size && !upgraded_; bytes++, size--) {
        if (refused_)
            return;
        fuzz::expect(head_size_ < head_.size(), "an answer that does not end");
        head_[head_size_++] = static_cast<char>(*bytes);
        const std::string_view head(head_.data(), head_size_);
        if (head_size_ < 4 || head.substr(head_size_ - 4) != "\r\n\r\n")
            continue;
        upgraded_ = head.substr(9, 3) == "101";
        refused_ = !upgraded_;
        fuzz::expect(!upgraded_ || admitted_, "it accepts what it has to refuse");
        fuzz::expect(upgraded_ || !admitted_ || gone_, "it refuses, and nobody else is there");
    }
    while (size) {
        if (!payload_) {
            fuzz::expect(!got_close_, "bytes after the close frame");
            header_[header_size_++] = *bytes++;
            size--;
            if (header_size_ < 2)
                continue;
            fuzz::expect(!(header_[1] & kMasked), "a mask of a server's");
            const size_t of_length = header_[1] < 126 ? 0 : header_[1] == 126 ? 2 : 8;
            if (header_size_ < 2 + of_length)
                continue;
            uint64_t length = of_length ? 0 : header_[1];
            for (size_t i = 0; i < of_length; i++)
                length = length << 8 | header_[2 + i];
            header_size_ = 0;
            frame_began(header_[0] & 15, length);
            continue;
        }
        const size_t n = std::min<uint64_t>(size, payload_);
        if (opcode_ == kBinary) {
            fuzz::expect(client_received_ + n <= broker_sent_, "bytes that the broker did not send");
            for (size_t i = 0; i < n; i++)
                fuzz::expect(bytes[i] == numbered(kDown, client_received_ + i),
                             "bytes of the broker are lost, doubled or out of order");
            client_received_ += n;
        }
        bytes += n;
        size -= n;
        payload_ -= n;
    }
}

void Round::frame_began(uint8_t opcode, uint64_t size) {
    fuzz::expect(header_[0] & kFin, "a message in pieces");
    fuzz::expect(opcode == kBinary || opcode == kClose || opcode == kPing || opcode == kPong,
                 "a frame of another kind");
    fuzz::expect(size <= Pipe::kPiece, "a frame that is too long");
    opcode_ = opcode;
    payload_ = size;
    got_close_ |= opcode == kClose;
}

int Round::dial(lws_proton_driver_t *driver) {
    fuzz::expect(dialed_ < kBrokers, "it tries more brokers than there are");
    fuzz::expect(!linked_, "a broker too many");
    answered_ = false;
    // Refused at once, refused later, or reached.
    if ((manner_ & 0x18) == 0x18 && !dialed_) {
        dialed_++;
        return ECONNREFUSED;
    }
    brokers_[dialed_++].start(driver);
    if (!(manner_ & 0x10)) {
        answered_ = true;
        lws_proton_driver_connected(driver, 0);
    }
    return 0;
}

void Round::connected(int error) {
    if (!dialed_ || answered_ || !brokers_[dialed_ - 1].driver())
        return;
    answered_ = true;
    Side &side = brokers_[dialed_ - 1];
    lws_proton_driver_connected(side.driver(), error);
    Side::wake(&side);
}

void Round::on_websocket(lws *wsi, lws_callback_reasons reason, void *user) {
    if (reason == LWS_CALLBACK_ESTABLISHED) {
        ws_ = wsi;
        user_ = user;
    } else if (reason == LWS_CALLBACK_CLOSED) {
        ws_ = nullptr;
        gone_ = true;
    }
}

void Round::on_broker(lws_callback_reasons reason) {
    if (reason == LWS_CALLBACK_RAW_CONNECTED) {
        fuzz::expect(!linked_, "a second broker");
        linked_ = true;
        in_time_ = ws_;
    } else if (reason == LWS_CALLBACK_CLIENT_CONNECTION_ERROR) {
        answered_ = true;
    }
}

// Bytes that it has not sent yet never come.
void Round::end_client(bool reset) {
    if (client_.ended())
        return;
    broke_rules_ |= at_ < end_ || in_message_;
    gone_ = true;
    if (reset)
        client_.reset();
    else
        client_.end();
}

void Round::end_broker(bool reset) {
    if (!dialed_)
        return;
    if (!linked_)
        return connected(ECONNRESET);
    if (reset)
        brokers_[dialed_ - 1].reset();
    else
        brokers_[dialed_ - 1].end();
}

// As lws_proton_loop_drain() does, from which there is no way back.
void Round::stop() {
    if (!ws_)
        return;
    stopped_ = true;
    fuzz::expect(!lws_proton_loop_enter(fuzz::loop(), 0), "not entered");
    gateway::kProtocols[1].callback(
        ws_, static_cast<lws_callback_reasons>(LWS_PROTON_CALLBACK_DRAIN), user_, nullptr, 0);
    lws_proton_loop_leave(fuzz::loop());
}

void Round::pass(lws_usec_t time) {
    now += time;
    // Who has not asked for a WebSocket by then may be closed.
    gone_ |= now - begun_ >= kSoon;
    lws_proton_loop_tick(fuzz::loop());
}

bool Round::serve(bool client, bool broker) {
    // Whatever is to be done at once is due then.
    now += 10;
    bool any = client && client_.serve_if_due();
    for (Side &side : brokers_)
        any |= broker && side.serve_if_due();
    lws_proton_loop_tick(fuzz::loop());
    return any;
}

// Both sides send what they have said, and read, until nothing moves.
void Round::settle() {
    for (int i = 0;; i++) {
        fuzz::expect(i < 100000, "it never comes to rest");
        const size_t at = at_;
        feed_client(SIZE_MAX);
        const bool served = serve(true, true);
        const bool taken = take_client(SIZE_MAX);
        if (!take_broker(SIZE_MAX) && !taken && !served && at == at_)
            break;
        check_memory();
    }
}

void Round::step(uint8_t op, uint8_t byte) {
    const size_t n = amount(byte);
    switch (op & 0x0f) {
    case 0:
        add_data(n, !(op & 0x10));
        break;
    case 1:
        feed_client(n);
        break;
    case 2:
        add_special(op, byte);
        break;
    case 3:
        take_client(n);
        break;
    case 4:
        end_client(false);
        break;
    case 5:
        end_client(true);
        break;
    case 6:
        feed_broker(n);
        break;
    case 7:
        take_broker(n);
        break;
    case 8:
        end_broker(false);
        break;
    case 9:
        end_broker(true);
        break;
    case 10:
        connected(byte & 1 ? ECONNREFUSED : 0);
        break;
    case 11:
        serve(!(byte & 1), !(byte & 2));
        break;
    case 12:
        pass(static_cast<lws_usec_t>(byte) * (op & 0x10 ? LWS_US_PER_SEC : 20 * LWS_US_PER_MS));
        break;
    case 13:
        stop();
        break;
    default:
        settle();
    }
    check_memory();
}

void Round::finish(uint8_t how) {
    settle();
    const bool soon = now - begun_ < kSoon;
    const bool broker_ended = linked_ && brokers_[dialed_ - 1].ended();
    const bool broker_lost = linked_ && brokers_[dialed_ - 1].lost();
    const bool kept = linked_ && in_time_ && soon && !broke_rules_ && !client_.lost() && !broker_lost && !stopped_;
    if (kept && !broker_ended)
        fuzz::expect(received_ == sent_, "not all that the client sent has come");
    if (kept && !client_.ended() && !said_close_)
        fuzz::expect(client_received_ == broker_sent_, "not all that the broker sent has come");
    if (kept && !broker_ended && !client_.ended() && !said_close_)
        fuzz::expect(ws_ && !got_close_, "it ends, and nobody has wanted it to");

    switch (how & 3) {
    case 0:
        end_client(false);
        break;
    case 1:
        end_broker(false);
        break;
    case 2:
        end_client(true);
        break;
    default:
        client_.free();
        gone_ = true;
    }
    settle();
    if (kept && (how & 3) == 1 && !broker_ended && !client_.ended() && !said_close_)
        fuzz::expect(got_close_, "the broker has ended, and the client is not told");
    // Brokers that have not answered are waited for, then what the tunnel itself waits for.
    for (size_t i = 0; i <= kBrokers; i++) {
        pass(kLong);
        settle();
    }
    end_client(false);
    settle();
    fuzz::expect(client_.closed(), "the client's connection stays");
    for (Side &side : brokers_)
        fuzz::expect(side.closed(), "the broker's connection stays");
    client_.free();
    for (Side &side : brokers_)
        side.free();
    fuzz::expect_no_connections();
    fuzz::expect(!site().open, "a tunnel without connections stays");
}

void Round::check_memory() const {
    const size_t more = allocated > before_ ? allocated - before_ : 0;
    fuzz::expect(more <= Tunnel::kMost, "more memory than a tunnel may have");
}

void set_up() {
    fuzz::expect(__sanitizer_install_malloc_and_free_hooks(count_malloc, count_free),
                 "no hooks of malloc()");
    unsetenv("http_proxy");
    // Of those that do not listen lws gives a request to the one that was made first.
    clients();
    static std::array<lws_protocols, 2> protocols;
    std::copy_n(gateway::kBrokerProtocols, protocols.size(), protocols.begin());
    protocols[0].callback = [](lws *wsi, lws_callback_reasons reason, void *user, void *in,
                               size_t len) {
        if (round)
            round->on_broker(reason);
        return gateway::kBrokerProtocols[0].callback(wsi, reason, user, in, len);
    };
    lws_context_creation_info info = {};
    info.protocols = protocols.data();
    info.user = &site();
    info.connect_timeout_secs = 10;
    site().brokers = fuzz::make_vhost("brokers", info);
    lws_proton_loop_set_dialer(
        fuzz::loop(),
        [](void *, lws_proton_driver_t *driver, const char *, uint16_t) {
            fuzz::expect(round, "it connects for nobody");
            return round->dial(driver);
        },
        nullptr);
}

}  // namespace

// In place of lws's.

extern "C" lws_usec_t lws_now_usecs(void) {
    return now;
}

// A driver has no address.
extern "C" const char *lws_get_peer_simple(lws *, char *name, size_t size) {
    if (!client_address)
        return nullptr;
    snprintf(name, size, "%s", client_address);
    return name;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const bool is_set_up = (set_up(), true);
    fuzz::expect(is_set_up && kPiecesAreSet, "not set up");
    if (!size)
        return 0;
    auto here = std::make_unique<Round>(data[0]);
    for (size_t i = 1; i + 1 < size; i += 2) {
        if ((data[i] & 0x0f) != 0x0f) {
            here->step(data[i], data[i + 1]);
            continue;
        }
        here->finish(data[i] >> 4);
        here.reset();
        here = std::make_unique<Round>(data[i + 1]);
    }
    here->finish(size & 1 ? 0 : data[size - 1]);
    return 0;
}
