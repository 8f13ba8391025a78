// RFC 7692: permessage-deflate, messages.
#include "check.hpp"
#include "session.hpp"

#include "cases.hpp"

#include <random>

namespace conformance {

namespace {

constexpr uint16_t kProtocolError = 1002;
constexpr uint16_t kInvalidPayload = 1007;

std::string noise(size_t size) {
    std::mt19937 random(static_cast<uint32_t>(size));
    std::string bytes(size, '\0');
    for (char &byte : bytes)
        byte = static_cast<char>(random());
    return bytes;
}

std::string words(size_t size) {
    std::mt19937 random(static_cast<uint32_t>(size));
    std::string text;
    while (text.size() < size)
        text += "word" + std::to_string(random() % 1000) + ' ';
    return text.substr(0, size);
}

// A session that has agreed on compression, with the client's ends of it.
class Deflated {
public:
    explicit Deflated(const std::string &offer = kDeflate) : session(offer) {
        CHECK_EQ(session.extensions().rfind(kDeflate, 0), 0u);
    }

    void send(uint8_t kind, std::string_view text) {
        session.send(frame({kind, true, kRsv1}, deflater.message(text)));
    }

    void check_echo(uint8_t kind, const std::string &text) {
        const Message echo = session.message();
        CHECK_EQ(+echo.kind, +kind);
        const std::string got = echo.compressed ? inflater.message(echo.payload) : echo.payload;
        CHECK_EQ(got.size(), text.size());
        CHECK(got == text);
    }

    void round_trip(uint8_t kind, const std::string &text) {
        send(kind, text);
        check_echo(kind, text);
    }

    Session session;
    Deflater deflater;
    Inflater inflater;
};

void every_size_is_echoed_compressed() {
    Deflated peer;
    for (const size_t size : {0, 1, 125, 126, 127, 65535, 65536, 1 << 20, 16 << 20}) {
        peer.round_trip(kText, words(size));
        peer.round_trip(kBinary, std::string(size, 'a'));
    }
    peer.round_trip(kBinary, noise(4 << 20));
}

// Where the inflated or the deflated bytes just fill a buffer of lws's: a power of two.
void sizes_around_the_buffers_are_echoed_compressed() {
    Deflated peer;
    for (const size_t power : {1024, 2048, 4096, 8192, 16384, 65536})
        for (size_t size = power - 20; size <= power + 20; ++size) {
            peer.round_trip(kBinary, noise(size));
            peer.round_trip(kText, std::string(size, 'a'));
        }
    for (size_t size = 8000; size <= 8500; ++size)
        peer.round_trip(kText, std::string(size, 'b'));
    for (size_t size = 8170; size <= 8200; ++size)
        for (const size_t noisy : {size_t{0}, size / 2, size - 300})
            peer.round_trip(kBinary, noise(noisy) + std::string(size - noisy, 'c'));
}

void empty_messages_are_echoed_compressed() {
    Deflated peer;
    for (int i = 0; i < 3; ++i)
        peer.round_trip(kText, "");
    peer.round_trip(kBinary, "");
    peer.round_trip(kText, "text");
    peer.round_trip(kText, "");
    peer.round_trip(kText, "");
    peer.session.send(frame({kText, true, kRsv1}, std::string(1, '\0')));
    peer.check_echo(kText, "");
    peer.session.send(frame({kText, false, kRsv1}) + frame({kContinuation}, std::string(1, '\0')));
    peer.check_echo(kText, "");
    peer.round_trip(kText, "text");
}

void the_context_is_taken_over_in_both_directions() {
    Deflated peer;
    const std::string text = words(2000);
    const std::string first = peer.deflater.message(text), second = peer.deflater.message(text);
    CHECK_LE(second.size(), first.size() / 4);
    peer.session.send(frame({kText, true, kRsv1}, first) + frame({kText, true, kRsv1}, second));
    const Message echo = peer.session.message(), again = peer.session.message();
    CHECK(echo.compressed && again.compressed);
    CHECK_LE(again.payload.size(), echo.payload.size() / 4);
    CHECK(peer.inflater.message(echo.payload) == text);
    CHECK(peer.inflater.message(again.payload) == text);
}

void without_server_context_each_echo_stands_alone() {
    Deflated peer(kDeflate + "; server_no_context_takeover");
    CHECK(peer.session.extensions().find("server_no_context_takeover") != std::string::npos);
    const std::string text = words(2000);
    for (int i = 0; i < 4; ++i) {
        // the client's own context goes on
        peer.send(kText, text);
        peer.inflater.forget();
        peer.check_echo(kText, text);
    }
}

void without_client_context_each_message_stands_alone() {
    Deflated peer(kDeflate + "; client_no_context_takeover");
    const std::string text = words(20000);
    for (int i = 0; i < 4; ++i) {
        peer.deflater.forget();
        peer.send(kText, text);
        // the server's own context goes on
        peer.check_echo(kText, text);
    }
}

void without_both_contexts_all_stand_alone() {
    Deflated peer(kDeflate + "; server_no_context_takeover; client_no_context_takeover");
    for (const size_t size : {100, 0, 0, 20000, 70000}) {
        peer.deflater.forget();
        peer.send(kText, words(size));
        peer.inflater.forget();
        peer.check_echo(kText, words(size));
    }
}

void messages_that_are_not_compressed_are_echoed_too() {
    Deflated peer;
    for (const size_t size : {0, 5, 200, 70000}) {
        peer.session.send(text_frame(words(size)));
        peer.check_echo(kText, words(size));
        peer.round_trip(kText, words(size));
    }
    peer.session.send(frame({kText, false}) + frame({kContinuation, false}, "a") +
                      frame({kContinuation}));
    peer.check_echo(kText, "a");
}

void compressed_messages_may_be_fragmented_anywhere() {
    Deflated peer;
    const std::string text = words(120);
    for (size_t at = 0; at <= 60; ++at) {
        const std::string payload = peer.deflater.message(text);
        const size_t cut = std::min(at, payload.size());
        peer.session.send(frame({kText, false, kRsv1}, payload.substr(0, cut)) +
                          frame({kPing}, "ping") + frame({kContinuation}, payload.substr(cut)));
        peer.check_echo(kText, text);
        peer.session.check_pong("ping");
    }
    const std::string payload = peer.deflater.message(noise(20000));
    std::string frames;
    for (size_t at = 0; at <= payload.size(); at += 7)
        frames += frame({at ? kContinuation : kBinary, false, at ? kNoRsv : kRsv1},
                        std::string_view(payload).substr(at, 7));
    peer.session.send(frames + frame({kContinuation}));
    peer.check_echo(kBinary, noise(20000));
}

void compressed_messages_may_be_split_at_every_byte() {
    Deflated peer;
    for (size_t at = 0; at <= 80; ++at) {
        const std::string bytes = frame({kText, true, kRsv1}, peer.deflater.message(words(150)));
        const size_t cut = std::min(at, bytes.size());
        peer.session.send(bytes.substr(0, cut));
        peer.session.send(bytes.substr(cut));
        peer.check_echo(kText, words(150));
    }
}

void many_compressed_messages_in_one_segment_are_echoed_in_order() {
    Deflated peer;
    std::string all;
    for (size_t i = 0; i < 300; ++i)
        all += frame({kText, true, kRsv1}, peer.deflater.message(words(i * 37 % 5000)));
    peer.session.send(all);
    for (size_t i = 0; i < 300; ++i)
        peer.check_echo(kText, words(i * 37 % 5000));
}

// The examples of RFC 7692, section 7.2.3.
void the_examples_of_the_rfc_are_understood() {
    const std::string hello("\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
    const std::string again("\xf2\x00\x11\x00\x00", 5);
    const std::string stored("\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", 11);
    const std::string final_block("\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 8);
    const std::string two_blocks("\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", 13);

    Deflated peer;
    for (const std::string &payload : {hello, again, stored, two_blocks, final_block, hello}) {
        peer.session.send(frame({kText, true, kRsv1}, payload));
        peer.check_echo(kText, "Hello");
    }
    peer.session.send(frame({kText, false, kRsv1}, hello.substr(0, 3)) +
                      frame({kContinuation}, hello.substr(3)));
    peer.check_echo(kText, "Hello");
}

// Big answers, whose compression takes lws many turns, with pings in between.
void pings_are_answered_within_a_compressed_message() {
    Deflated peer;
    const std::string text = noise(1 << 20);
    const std::string payload = peer.deflater.message(text);
    std::string frames;
    int pings = 0;
    for (size_t at = 0; at < payload.size(); at += 50000) {
        frames +=
            frame({at ? kContinuation : kBinary, at + 50000 >= payload.size(), at ? kNoRsv : kRsv1},
                  std::string_view(payload).substr(at, 50000));
        frames += frame({kPing}, std::to_string(pings++));
    }
    peer.session.send(frames);
    peer.check_echo(kBinary, text);
    // Some may go unanswered while the echo waits for room, but not the last (RFC 6455, 5.5.3).
    int last = -1;
    while (last < pings - 1) {
        const Frame pong = peer.session.frame();
        CHECK_EQ(+pong.opcode, +kPong);
        const int number = std::stoi(pong.payload);
        CHECK_GE(number, last + 1);
        last = number;
    }
    peer.round_trip(kText, "after");
}

void connections_do_not_disturb_each_other() {
    constexpr size_t kPeers = 4, kRounds = 2;
    // From one read: more than lws inflates for one connection before the others have their turn.
    constexpr size_t kRun = 6 << 20;
    std::vector<std::unique_ptr<Deflated>> peers;
    for (size_t i = 0; i < kPeers; ++i)
        peers.push_back(std::make_unique<Deflated>());
    const auto text = [](size_t i, size_t round) {
        return words(300 * i + round) + std::string(kRun + i, static_cast<char>('a' + i)) +
               words(2000);
    };
    for (size_t round = 0; round < kRounds; ++round) {
        for (size_t i = 0; i < kPeers; ++i)
            peers[i]->send(kText, text(i, round));
        for (size_t i = 0; i < kPeers; ++i)
            peers[i]->check_echo(kText, text(i, round));
    }
}

// A stream that ends after the length of a match: the zeros of the tail are its distance. What it
// inflates to then does not fit into what is left of lws's buffer.
void what_the_tail_completes_is_inflated_whole() {
    constexpr int kBuffer = 8192, kLongest = 258, kMatches = 25;  // 3 + 13 * 25 + 8 bits: 42 bytes
    std::string bits = "010";                                     // not final, fixed codes
    const auto match_length = [&] { bits += "11000101"; };
    for (int i = 0; i < kBuffer - 3 - kMatches * kLongest; ++i)
        bits += "10010001";  // the letter a
    for (int i = 0; i < kMatches; ++i) {
        match_length();
        bits += "00000";  // of distance 1
    }
    match_length();
    CHECK_EQ(bits.size() % 8, 0u);
    std::string payload(bits.size() / 8, '\0');
    for (size_t i = 0; i < bits.size(); ++i)
        payload[i / 8] = static_cast<char>(payload[i / 8] | (bits[i] - '0') << i % 8);

    Deflated peer;
    peer.session.send(frame({kText, true, kRsv1}, payload));
    peer.check_echo(kText, std::string(kBuffer - 3 + kLongest, 'a'));
}

void check_refused(const std::string &bytes, uint16_t code) {
    Deflated peer;
    peer.session.send(bytes);
    peer.session.check_failed(code);
}

void the_bit_is_for_the_first_frame_of_a_message_only() {
    Deflater deflater;
    const std::string payload = deflater.message("Hello");
    check_refused(frame({kText, false, kRsv1}, payload.substr(0, 2)) +
                      frame({kContinuation, true, kRsv1}, payload.substr(2)),
                  kProtocolError);
    check_refused(frame({kText, false}, "a") + frame({kContinuation, true, kRsv1}, "b"),
                  kProtocolError);
    for (const uint8_t opcode : {kPing, kPong, kClose})
        check_refused(frame({opcode, true, kRsv1}), kProtocolError);
    for (const uint8_t rsv : {kRsv2, kRsv3, uint8_t{kRsv1 | kRsv2}})
        check_refused(frame({kText, true, rsv}, payload), kProtocolError);
}

void what_is_not_deflated_is_refused() {
    check_refused(frame({kBinary, true, kRsv1}, "\xff\xff\xff\xff"), kInvalidPayload);
    check_refused(frame({kBinary, true, kRsv1}, std::string("\x00\x05\x00\x00\x00", 5)),
                  kInvalidPayload);
    check_refused(frame({kText, false, kRsv1}, "\x07"), kInvalidPayload);
    // A distance that goes back before the first byte.
    check_refused(frame({kText, true, kRsv1}, std::string("\xf2\x00\x11\x00\x00", 5)),
                  kInvalidPayload);
}

void compressed_text_is_checked() {
    for (const char *text : {"\xff", "a\xc0\x80", "\xed\xa0\x80", "ends in \xe1\x80", "\xf1"}) {
        Deflated peer;
        peer.send(kText, text);
        peer.session.check_failed(kInvalidPayload);
        Deflated plain;
        plain.session.send(text_frame(text));
        plain.session.check_failed(kInvalidPayload);
        Deflated late;
        late.send(kText, std::string(20000, 'a') + text);
        late.session.check_failed(kInvalidPayload);
    }
    Deflated peer;
    peer.round_trip(kText, "\xe1\x80\x80 \xf4\x8f\xbf\xbf");
    peer.round_trip(kBinary, "\xff\xc0");
}

}  // namespace

std::vector<CMUnitTest> deflate_cases() {
    return {
        E2E_TEST(every_size_is_echoed_compressed),
        E2E_TEST(sizes_around_the_buffers_are_echoed_compressed),
        E2E_TEST(empty_messages_are_echoed_compressed),
        E2E_TEST(the_context_is_taken_over_in_both_directions),
        E2E_TEST(without_server_context_each_echo_stands_alone),
        E2E_TEST(without_client_context_each_message_stands_alone),
        E2E_TEST(without_both_contexts_all_stand_alone),
        E2E_TEST(messages_that_are_not_compressed_are_echoed_too),
        E2E_TEST(compressed_messages_may_be_fragmented_anywhere),
        E2E_TEST(compressed_messages_may_be_split_at_every_byte),
        E2E_TEST(many_compressed_messages_in_one_segment_are_echoed_in_order),
        E2E_TEST(the_examples_of_the_rfc_are_understood),
        E2E_TEST(pings_are_answered_within_a_compressed_message),
        E2E_TEST(connections_do_not_disturb_each_other),
        E2E_TEST(what_the_tail_completes_is_inflated_whole),
        E2E_TEST(the_bit_is_for_the_first_frame_of_a_message_only),
        E2E_TEST(what_is_not_deflated_is_refused),
        E2E_TEST(compressed_text_is_checked),
    };
}

}  // namespace conformance
