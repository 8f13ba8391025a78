#include "ws_client.hpp"

#include "check.hpp"

#include <poll.h>

#include <algorithm>
#include <cctype>

namespace e2e {

namespace {

// The example key of RFC 6455, section 1.3, and the answer to it.
constexpr std::string_view kKey = "dGhlIHNhbXBsZSBub25jZQ==";
constexpr std::string_view kAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

constexpr unsigned char kMask[4] = {0x37, 0xfa, 0x21, 0x3d};

// Payload lengths up to this stand in the second byte; these two values announce 2 or 8 bytes more.
constexpr size_t kMost7Bit = 125;
constexpr uint8_t kLength16 = 126;
constexpr uint8_t kLength64 = 127;
constexpr uint8_t kFinalBit = 0x80;
constexpr uint8_t kMaskBit = 0x80;

constexpr int kLookAgainMs = 10;

void append_big_endian(std::string *to, uint64_t value, int bytes)
{
    for (int shift = 8 * (bytes - 1); shift >= 0; shift -= 8)
        to->push_back(static_cast<char>(value >> shift));
}

uint64_t big_endian(std::string_view bytes)
{
    uint64_t value = 0;
    for (const char byte : bytes)
        value = value << 8 | static_cast<unsigned char>(byte);
    return value;
}

std::string lower_case(std::string text)
{
    std::transform(text.begin(), text.end(), text.begin(),
                   [](unsigned char c) { return std::tolower(c); });
    return text;
}

std::string first_of(const std::string &list)
{
    return list.substr(0, list.find(','));
}

} // namespace

std::string masked_frame(Opcode opcode, std::string_view payload, bool final)
{
    std::string frame;
    frame.reserve(payload.size() + 14);
    frame.push_back(static_cast<char>((final ? kFinalBit : 0) | static_cast<uint8_t>(opcode)));
    if (payload.size() <= kMost7Bit) {
        frame.push_back(static_cast<char>(kMaskBit | payload.size()));
    } else if (payload.size() <= UINT16_MAX) {
        frame.push_back(static_cast<char>(kMaskBit | kLength16));
        append_big_endian(&frame, payload.size(), 2);
    } else {
        frame.push_back(static_cast<char>(kMaskBit | kLength64));
        append_big_endian(&frame, payload.size(), 8);
    }
    frame.append(reinterpret_cast<const char *>(kMask), sizeof kMask);
    for (size_t i = 0; i < payload.size(); ++i)
        frame.push_back(static_cast<char>(payload[i] ^ kMask[i % sizeof kMask]));
    return frame;
}

std::string close_payload(uint16_t code, std::string_view reason)
{
    std::string payload;
    append_big_endian(&payload, code, 2);
    payload += reason;
    return payload;
}

WsClient::WsClient(int port, const std::string &protocol, const std::string &path,
                   const SocketOptions &options)
    : socket_(port, options), protocol_(protocol)
{
    outgoing_ = "GET " + path +
                " HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " +
                std::string(kKey) + "\r\n" +
                (protocol.empty() ? "" : "Sec-WebSocket-Protocol: " + protocol + "\r\n") + "\r\n";
}

void WsClient::queue(std::string_view bytes)
{
    outgoing_ += bytes;
    pump(POLLOUT);
}

short WsClient::wanted_events() const
{
    if (state_ == State::ended)
        return 0;
    return static_cast<short>((reading_ ? POLLIN : 0) | (outgoing_.empty() ? 0 : POLLOUT));
}

void WsClient::pump(short events)
{
    if ((events & (POLLOUT | POLLERR | POLLHUP)) && !outgoing_.empty() && state_ != State::ended) {
        const IoResult sent = socket_.send_some(outgoing_);
        outgoing_.erase(0, sent.bytes);
        if (sent.state == Io::reset)
            state_ = State::ended;
    }
    if (reading_ && (events & (POLLIN | POLLERR | POLLHUP)) && state_ != State::ended)
        receive();
}

void WsClient::receive()
{
    char block[65536];
    const IoResult got = socket_.receive_some(block, sizeof block);
    incoming_.append(block, got.bytes);
    if (state_ == State::handshaking)
        parse_handshake();
    if (state_ == State::open)
        parse_frames();
    if (got.state == Io::closed || got.state == Io::reset)
        state_ = State::ended;
}

void WsClient::parse_handshake()
{
    const size_t end = incoming_.find("\r\n\r\n");
    if (end == std::string::npos)
        return;
    std::string head = incoming_.substr(0, end + 2);
    incoming_.erase(0, end + 4);

    CHECK_EQ(head.substr(0, head.find(' ', 9)), "HTTP/1.1 101");
    CHECK(head.find(std::string(kAccept) + "\r\n") != std::string::npos);
    head = lower_case(head);
    if (protocol_.empty())
        CHECK(head.find("sec-websocket-protocol:") == std::string::npos);
    else
        CHECK(head.find("sec-websocket-protocol: " + lower_case(first_of(protocol_)) + "\r\n") !=
              std::string::npos);
    state_ = State::open;
}

void WsClient::parse_frames()
{
    size_t parsed = 0;
    while (true) {
        const std::string_view rest = std::string_view(incoming_).substr(parsed);
        if (rest.size() < 2)
            break;
        const auto first = static_cast<uint8_t>(rest[0]);
        const auto second = static_cast<uint8_t>(rest[1]);
        CHECK(!(second & kMaskBit)); // a server does not mask
        size_t length = second, head = 2;
        if (second == kLength16)
            head = 4;
        if (second == kLength64)
            head = 10;
        if (rest.size() < head)
            break;
        if (head > 2)
            length = big_endian(rest.substr(2, head - 2));
        if (rest.size() < head + length)
            break;
        frames_.push_back({static_cast<Opcode>(first & 0x0f), (first & kFinalBit) != 0,
                           std::string(rest.substr(head, length))});
        parsed += head + length;
    }
    incoming_.erase(0, parsed);
}

void WsClient::await_progress(const Deadline &deadline, const char *what)
{
    pollfd waiting{socket_.fd(), wanted_events(), 0};
    if (poll(&waiting, 1, deadline.remaining_ms()) <= 0)
        FAIL(std::string("gave up waiting for ") + what);
    pump(waiting.revents);
}

void WsClient::await_open()
{
    const Deadline deadline;
    while (state_ == State::handshaking)
        await_progress(deadline, "the handshake's answer");
    CHECK(state_ == State::open);
}

void WsClient::await_frame_or_end()
{
    const Deadline deadline;
    while (frames_.empty() && state_ != State::ended)
        await_progress(deadline, "a frame");
}

WsFrame WsClient::await_frame()
{
    await_frame_or_end();
    if (frames_.empty())
        FAIL("the connection ended before the next frame");
    WsFrame frame = std::move(frames_.front());
    frames_.pop_front();
    return frame;
}

void WsClient::await_end()
{
    const Deadline deadline;
    while (state_ != State::ended)
        await_progress(deadline, "the end of the connection");
}

void WsClient::flush()
{
    const Deadline deadline;
    while (!outgoing_.empty()) {
        CHECK(state_ != State::ended);
        await_progress(deadline, "the server to take what was sent");
    }
}

bool drive_until(const WsClients &clients, const std::function<bool()> &done,
                 const Deadline &deadline)
{
    std::vector<pollfd> waiting;
    while (!done()) {
        if (deadline.passed())
            return false;
        waiting.clear();
        for (const auto &client : clients) {
            const short events = client->wanted_events();
            // A negative descriptor is one that poll() skips: a hang-up would end every wait else.
            waiting.push_back({events ? client->socket().fd() : -1, events, 0});
        }
        // done() may look at something that no client's event announces.
        poll(waiting.data(), waiting.size(), std::min(deadline.remaining_ms(), kLookAgainMs));
        for (size_t i = 0; i < waiting.size(); ++i)
            if (waiting[i].revents)
                clients[i]->pump(waiting[i].revents);
    }
    return true;
}

void drive(const WsClients &clients, const std::string &what, const std::function<bool()> &done)
{
    if (!drive_until(clients, done, Deadline()))
        FAIL("gave up waiting for: " + what);
}

} // namespace e2e
