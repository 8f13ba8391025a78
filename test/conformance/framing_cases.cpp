// RFC 6455, section 5: frames, fragments, control frames.
#include "check.hpp"
#include "session.hpp"

#include "cases.hpp"

namespace conformance {

namespace {

constexpr uint16_t kProtocolError = 1002;

std::string pattern(size_t size) {
    std::string text(size, '\0');
    for (size_t i = 0; i < size; ++i)
        text[i] = static_cast<char>('!' + (i + i / 90) % 90);
    return text;
}

void check_refused(const std::string &bytes, uint16_t code = kProtocolError) {
    Session session;
    session.send(bytes);
    session.check_failed(code);
}

void every_size_is_echoed() {
    Session session;
    for (const size_t size : {0, 1, 125, 126, 127, 65535, 65536, 1 << 20, 16 << 20})
        for (const uint8_t kind : {kText, kBinary}) {
            session.send(frame({kind}, pattern(size)));
            session.check_echo(kind, pattern(size));
        }
}

void a_length_that_is_not_in_its_shortest_form_is_refused() {
    for (const size_t size : {0, 5, 125}) {
        check_refused(frame({kText, true, 0, true, 2}, pattern(size)));
        check_refused(frame({kText, true, 0, true, 8}, pattern(size)));
    }
    for (const size_t size : {126, 65535})
        check_refused(frame({kText, true, 0, true, 8}, pattern(size)));
}

void a_64_bit_length_with_the_top_bit_is_refused() {
    check_refused(frame_head({kBinary}, uint64_t{1} << 63));
    check_refused(frame_head({kBinary}, UINT64_MAX));
}

void an_unmasked_frame_is_refused() {
    for (const uint8_t opcode : {kText, kBinary, kPing, kPong, kClose})
        for (const size_t size : {0, 2, 125})
            check_refused(frame({opcode, true, 0, false}, pattern(size)));
    check_refused(frame({kText, true, 0, false}, pattern(126)));
    check_refused(frame({kText, true, 0, false}, pattern(65536)));
}

void a_mask_of_zero_is_a_mask() {
    Session session;
    std::string zero = frame_head({kText}, 5);
    zero.replace(zero.size() - 4, 4, 4, '\0');
    session.send(zero + "hello" + text_frame("world"));
    session.check_echo(kText, "hello");
    session.check_echo(kText, "world");
}

void reserved_bits_are_refused() {
    for (const uint8_t rsv : {kRsv1, kRsv2, kRsv3, uint8_t{kRsv1 | kRsv2 | kRsv3}})
        for (const uint8_t opcode : {kText, kBinary, kPing, kPong, kClose})
            check_refused(frame({opcode, true, rsv}));
    for (const uint8_t rsv : {kRsv1, kRsv2, kRsv3})
        check_refused(frame({kText, false}, "a") + frame({kContinuation, true, rsv}, "b"));
}

void reserved_opcodes_are_refused() {
    for (const uint8_t opcode : {3, 4, 5, 6, 7, 11, 12, 13, 14, 15}) {
        check_refused(frame({opcode}));
        check_refused(frame({opcode}, "payload"));
        check_refused(frame({kText, false}, "a") + frame({opcode}));
    }
}

void nothing_after_a_violation_is_answered() {
    Session session;
    session.send(text_frame("before"));
    session.check_echo(kText, "before");
    session.send(frame({3}) + text_frame("after") + frame({kPing}, "after") + close_frame(1000));
    session.check_failed(kProtocolError);
}

void fragments_are_one_message() {
    Session session;
    session.send(frame({kText, false}, "one ") + frame({kContinuation, false}, "two ") +
                 frame({kContinuation}, "three"));
    session.check_echo(kText, "one two three");
    session.send(frame({kBinary, false}) + frame({kContinuation, false}) + frame({kContinuation}));
    session.check_echo(kBinary, "");
    session.send(frame({kBinary, false}, "only the first") + frame({kContinuation}));
    session.check_echo(kBinary, "only the first");
    session.send(frame({kText, false}) + frame({kContinuation}, "only the last"));
    session.check_echo(kText, "only the last");
    const std::string long_text = pattern(300000);
    std::string frames;
    for (size_t at = 0; at < long_text.size(); at += 1000)
        frames += frame({at ? kContinuation : kText, at + 1000 >= long_text.size()},
                        long_text.substr(at, 1000));
    session.send(frames);
    session.check_echo(kText, long_text);
}

void control_frames_may_come_between_fragments() {
    Session session;
    session.send(frame({kText, false}, "one ") + frame({kPing}, "p1") +
                 frame({kContinuation, false}, "two ") + frame({kPong}, "unasked") +
                 frame({kPing}, "p2") + frame({kContinuation}, "three"));
    session.check_echo(kText, "one two three");
    session.check_pong("p1");
    session.check_pong("p2");
    session.check_alive();
}

void a_continuation_of_nothing_is_refused() {
    check_refused(frame({kContinuation}, "x"));
    check_refused(frame({kContinuation, false}, "x"));
    check_refused(text_frame("whole") + frame({kContinuation}, "x"));
    check_refused(frame({kText, false}, "a") + frame({kContinuation}, "b") +
                  frame({kContinuation}, "c"));
    check_refused(frame({kPing}) + frame({kContinuation}));
}

void a_new_message_inside_another_is_refused() {
    for (const uint8_t opcode : {kText, kBinary})
        for (const bool final : {true, false}) {
            check_refused(frame({kText, false}, "a") + frame({opcode, final}, "b"));
            check_refused(frame({kText, false}, "a") + frame({kPing}) +
                          frame({kContinuation, false}, "b") + frame({opcode, final}, "c"));
        }
}

void control_frames_that_are_long_are_refused() {
    for (const uint8_t opcode : {kPing, kPong, kClose})
        for (const size_t size : {126, 127, 65536})
            check_refused(frame({opcode}, std::string(size, 'c')));
}

void control_frames_that_are_fragmented_are_refused() {
    for (const uint8_t opcode : {kPing, kPong, kClose})
        check_refused(frame({opcode, false}, "ab"));
}

void pings_of_every_size_are_answered() {
    Session session;
    for (size_t size = 0; size <= 125; ++size) {
        session.send(frame({kPing}, pattern(size)));
        session.check_pong(pattern(size));
    }
    session.send(frame({kPing}, std::string("\0\xff\xfe", 3)));
    session.check_pong(std::string("\0\xff\xfe", 3));
}

void pings_that_come_together_are_answered_each_in_order() {
    Session session;
    std::string pings;
    for (int i = 0; i < 100; ++i)
        pings += frame({kPing}, "ping " + std::to_string(i));
    session.send(pings + text_frame("and a message"));
    for (int i = 0; i < 100; ++i)
        session.check_pong("ping " + std::to_string(i));
    session.check_echo(kText, "and a message");
}

void pongs_are_let_pass() {
    Session session;
    session.send(frame({kPong}) + frame({kPong}, pattern(125)));
    session.check_alive();
}

void many_messages_in_one_segment_are_echoed_in_order() {
    Session session;
    std::string all;
    for (size_t i = 0; i < 500; ++i)
        all += frame({i % 2 ? kText : kBinary}, pattern(i % 200));
    session.send(all);
    for (size_t i = 0; i < 500; ++i)
        session.check_echo(i % 2 ? kText : kBinary, pattern(i % 200));
}

void a_message_may_be_split_at_every_byte() {
    Session session;
    const std::string bytes = text_frame(pattern(40)) + frame({kBinary, false}, pattern(130)) +
                              frame({kPing}, "ping") + frame({kContinuation}, pattern(20));
    for (size_t at = 0; at <= bytes.size(); ++at) {
        session.send(bytes.substr(0, at));
        session.send(bytes.substr(at));
        session.check_echo(kText, pattern(40));
        session.check_echo(kBinary, pattern(130) + pattern(20));
        session.check_pong("ping");
    }
}

void a_long_length_may_be_split_at_every_byte() {
    Session session;
    const std::string bytes = frame({kBinary}, pattern(65536));
    for (size_t at = 0; at <= 20; ++at) {
        session.send(bytes.substr(0, at));
        session.send(bytes.substr(at));
        session.check_echo(kBinary, pattern(65536));
    }
}

void bytes_may_come_one_by_one() {
    Session session;
    const std::string bytes = text_frame(pattern(200)) + frame({kPing}, "ping");
    for (const char byte : bytes)
        session.send(std::string(1, byte));
    session.check_echo(kText, pattern(200));
    session.check_pong("ping");
}

}  // namespace

std::vector<CMUnitTest> framing_cases() {
    return {
        E2E_TEST(every_size_is_echoed),
        E2E_TEST(a_length_that_is_not_in_its_shortest_form_is_refused),
        E2E_TEST(a_64_bit_length_with_the_top_bit_is_refused),
        E2E_TEST(an_unmasked_frame_is_refused),
        E2E_TEST(a_mask_of_zero_is_a_mask),
        E2E_TEST(reserved_bits_are_refused),
        E2E_TEST(reserved_opcodes_are_refused),
        E2E_TEST(nothing_after_a_violation_is_answered),
        E2E_TEST(fragments_are_one_message),
        E2E_TEST(control_frames_may_come_between_fragments),
        E2E_TEST(a_continuation_of_nothing_is_refused),
        E2E_TEST(a_new_message_inside_another_is_refused),
        E2E_TEST(control_frames_that_are_long_are_refused),
        E2E_TEST(control_frames_that_are_fragmented_are_refused),
        E2E_TEST(pings_of_every_size_are_answered),
        E2E_TEST(pings_that_come_together_are_answered_each_in_order),
        E2E_TEST(pongs_are_let_pass),
        E2E_TEST(many_messages_in_one_segment_are_echoed_in_order),
        E2E_TEST(a_message_may_be_split_at_every_byte),
        E2E_TEST(a_long_length_may_be_split_at_every_byte),
        E2E_TEST(bytes_may_come_one_by_one),
    };
}

}  // namespace conformance
