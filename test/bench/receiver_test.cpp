// SPDX-License-Identifier: MIT
// What comes from a server is parsed however it is cut, and nothing wrong goes unnoticed.
#include "check.hpp"
#include "failure.hpp"
#include "messages.hpp"
#include "receiver.hpp"
#include "test_main.hpp"

#include <zlib.h>

#include <string>

using namespace ws_load;

namespace {

constexpr size_t kSize = 200;  // with two more bytes of length in the header
constexpr uint64_t kFirst = 5;

std::string frame(const std::string &payload, int first_byte) {
    CHECK(payload.size() < 65536);
    std::string out(1, static_cast<char>(first_byte));
    if (payload.size() < 126) {
        out += static_cast<char>(payload.size());
    } else {
        out += static_cast<char>(126);
        out += static_cast<char>(payload.size() >> 8);
        out += static_cast<char>(payload.size());
    }
    return out + payload;
}

std::string expected(const Messages &messages, uint64_t number) {
    return std::string(messages.expected(number));
}

std::string echo(const Messages &messages, int count) {
    std::string bytes;
    for (int i = 0; i < count; ++i)
        bytes += frame(expected(messages, kFirst + static_cast<uint64_t>(i)), 0x82);
    return bytes;
}

size_t take(Receiver &receiver, const std::string &bytes) {
    return receiver.take(reinterpret_cast<const uint8_t *>(bytes.data()), bytes.size());
}

// "" if all is well.
std::string trouble(const Messages &messages, const std::string &bytes,
                    Inflated *inflated = nullptr) {
    try {
        Receiver receiver(messages, kFirst, inflated);
        take(receiver, bytes);
    } catch (const Failure &failure) {
        return failure.kind();
    }
    return "";
}

Messages plain() { return {Framing::websocket, false, kSize, 4}; }

void it_may_be_cut_anywhere() {
    const Messages messages = plain();
    const std::string bytes = echo(messages, 2);
    for (size_t cut = 0; cut <= bytes.size(); ++cut) {
        Receiver receiver(messages, kFirst, nullptr);
        const size_t ended = take(receiver, bytes.substr(0, cut));
        CHECK_EQ(ended + take(receiver, bytes.substr(cut)), 2u);
    }
    Receiver receiver(messages, kFirst, nullptr);
    size_t ended = 0;
    for (const char byte : bytes)
        ended += take(receiver, std::string(1, byte));
    CHECK_EQ(ended, 2u);
}

void fragments_and_control_frames_between_them_are_one_message() {
    const Messages messages = plain();
    const std::string payload = expected(messages, kFirst);
    Receiver receiver(messages, kFirst, nullptr);
    CHECK_EQ(take(receiver, frame(payload.substr(0, 7), 0x02)), 0u);
    CHECK_EQ(take(receiver, frame("ping", 0x89)), 0u);
    CHECK_EQ(take(receiver, frame("", 0x00)), 0u);
    CHECK_EQ(take(receiver, frame(payload.substr(7), 0x80)), 1u);
}

void every_changed_byte_is_noticed() {
    const Messages messages = plain();
    const std::string good = echo(messages, 4);
    CHECK_EQ(trouble(messages, good), "");
    // Those that follow are for a length that became greater.
    for (size_t at = 0; at < good.size() / 2; ++at)
        for (int bit = 0; bit < 8; ++bit) {
            std::string bad = good;
            bad[at] = static_cast<char>(bad[at] ^ (1 << bit));
            CHECK(trouble(messages, bad) != "");
        }
}

void another_message_in_its_place_is_out_of_order() {
    const Messages messages = plain();
    for (const uint64_t other : {kFirst - 1, kFirst + 1, kFirst + 3})
        CHECK_EQ(trouble(messages, frame(expected(messages, other), 0x82)), "out-of-order");
}

void a_message_that_is_shorter_or_longer_is_corrupted() {
    const Messages messages = plain();
    const std::string payload = expected(messages, kFirst);
    CHECK_EQ(trouble(messages, frame(payload.substr(0, kSize - 1), 0x82)), "corrupted");
    CHECK_EQ(trouble(messages, frame(payload + "x", 0x82)), "corrupted");
    CHECK_EQ(trouble(messages, frame("", 0x82)), "corrupted");
}

void what_breaks_the_protocol_is_told() {
    const Messages messages = plain();
    const std::string payload = expected(messages, kFirst);
    CHECK_EQ(trouble(messages, frame(payload, 0x81)), "protocol");               // text
    CHECK_EQ(trouble(messages, frame(payload, 0x80)), "protocol");               // continues nothing
    CHECK_EQ(trouble(messages, frame(payload, 0xc2)), "protocol");               // compressed
    CHECK_EQ(trouble(messages, std::string("\x82\x84mask....", 10)), "protocol");  // masked
}

void a_close_frame_is_the_end() {
    const Messages messages = plain();
    Receiver receiver(messages, kFirst, nullptr);
    CHECK_EQ(take(receiver, echo(messages, 1) + frame("", 0x88) + "anything"), 1u);
    CHECK(receiver.close_received());
}

// As a server deflates: with or without what was before.
class Deflater {
public:
    Deflater() { CHECK_EQ(deflateInit2(&stream_, 1, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY), Z_OK); }
    ~Deflater() { deflateEnd(&stream_); }
    Deflater(const Deflater &) = delete;
    Deflater &operator=(const Deflater &) = delete;

    std::string deflated(std::string payload) {
        std::string out(payload.size() + 64, '\0');
        stream_.next_in = reinterpret_cast<Bytef *>(&payload[0]);
        stream_.avail_in = static_cast<uInt>(payload.size());
        stream_.next_out = reinterpret_cast<Bytef *>(&out[0]);
        stream_.avail_out = static_cast<uInt>(out.size());
        CHECK_EQ(deflate(&stream_, Z_SYNC_FLUSH), Z_OK);
        out.resize(out.size() - stream_.avail_out - 4);
        return out;
    }

private:
    z_stream stream_{};
};

void deflated_messages_may_refer_to_earlier_ones() {
    const Messages messages(Framing::deflated, false, kSize, 4);
    Deflater deflater;
    Receiver receiver(messages, kFirst, nullptr);
    for (uint64_t i = 0; i < 3 * messages.count(); ++i)
        CHECK_EQ(take(receiver, frame(deflater.deflated(expected(messages, kFirst + i)), 0xc2)), 1u);
}

void deflated_messages_that_are_wrong_are_noticed() {
    const Messages messages(Framing::deflated, false, kSize, 4);
    const std::string payload = expected(messages, kFirst);
    CHECK_EQ(trouble(messages, frame(Deflater().deflated(payload), 0xc2)), "");
    CHECK_EQ(trouble(messages, frame(Deflater().deflated(payload + "x"), 0xc2)), "corrupted");
    CHECK_EQ(trouble(messages, frame(Deflater().deflated(expected(messages, kFirst + 1)), 0xc2)),
             "out-of-order");
    CHECK_EQ(trouble(messages, frame("\xff\xff\xff\xff", 0xc2)), "corrupted");
    CHECK_EQ(trouble(messages, frame(payload, 0x82)), "protocol");  // as it is
}

void messages_deflated_anew_are_right_again_only_if_they_are_the_same() {
    const Messages messages(Framing::anew, false, kSize, 4);
    Inflated inflated(messages.count());
    const auto answer = [&](uint64_t number) {
        return frame(Deflater().deflated(expected(messages, number)), 0xc2);
    };
    Receiver receiver(messages, kFirst, &inflated);
    for (uint64_t i = 0; i < 2 * messages.count(); ++i)
        CHECK_EQ(take(receiver, answer(kFirst + i)), 1u);
    CHECK_EQ(trouble(messages, answer(kFirst), &inflated), "");
    CHECK_EQ(trouble(messages, answer(kFirst + 1), &inflated), "out-of-order");
    std::string bad = answer(kFirst);
    bad[bad.size() / 2] = static_cast<char>(bad[bad.size() / 2] ^ 0x10);
    CHECK(trouble(messages, bad, &inflated) != "");
    // In two pieces it is inflated, like the first time.
    const std::string good = answer(kFirst);
    Receiver again(messages, kFirst, &inflated);
    CHECK_EQ(take(again, good.substr(0, 20)) + take(again, good.substr(20)), 1u);
    CHECK_EQ(take(again, answer(kFirst + 1)), 1u);
}

void raw_bytes_come_back_as_they_were_sent() {
    const Messages messages(Framing::raw, false, kSize, 4);
    const Messages::Run run = messages.run(kFirst, 3);
    const std::string bytes(run.bytes);
    Receiver receiver(messages, kFirst, nullptr);
    CHECK_EQ(take(receiver, bytes.substr(0, 300)), 1u);
    CHECK_EQ(take(receiver, bytes.substr(300)), 2u);
    for (size_t at = 0; at < bytes.size(); ++at) {
        std::string bad = bytes;
        bad[at] = static_cast<char>(bad[at] ^ 0x01);
        CHECK_EQ(trouble(messages, bad), "corrupted");
    }
}

void runs_of_messages_go_on_beyond_the_last() {
    const Messages messages = plain();
    for (uint64_t number = 0; number < 2 * messages.count(); ++number) {
        const Messages::Run run = messages.run(number, 4);
        CHECK_EQ(run.messages, 4u);
        for (uint64_t i = 0; i < 4; ++i)
            CHECK(run.bytes.substr(i * run.bytes.size() / 4, run.bytes.size() / 4) ==
                  messages.run(number + i, 1).bytes);
        const size_t one = run.bytes.size() / 4;
        CHECK_EQ(messages.position(number, 2 * one + 3).messages, 2u);
        CHECK_EQ(messages.position(number, 2 * one + 3).bytes, 3u);
    }
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        E2E_TEST(it_may_be_cut_anywhere),
        E2E_TEST(fragments_and_control_frames_between_them_are_one_message),
        E2E_TEST(every_changed_byte_is_noticed),
        E2E_TEST(another_message_in_its_place_is_out_of_order),
        E2E_TEST(a_message_that_is_shorter_or_longer_is_corrupted),
        E2E_TEST(what_breaks_the_protocol_is_told),
        E2E_TEST(a_close_frame_is_the_end),
        E2E_TEST(deflated_messages_may_refer_to_earlier_ones),
        E2E_TEST(deflated_messages_that_are_wrong_are_noticed),
        E2E_TEST(messages_deflated_anew_are_right_again_only_if_they_are_the_same),
        E2E_TEST(raw_bytes_come_back_as_they_were_sent),
        E2E_TEST(runs_of_messages_go_on_beyond_the_last),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
