// RFC 6455, sections 5.5.1 and 7: closing.
#include "check.hpp"
#include "session.hpp"

#include "cases.hpp"

namespace conformance {

namespace {

constexpr uint16_t kProtocolError = 1002;
constexpr uint16_t kInvalidPayload = 1007;

std::string payload_of(uint16_t code, const std::string &reason = "") {
    return std::string{static_cast<char>(code >> 8), static_cast<char>(code)} + reason;
}

void a_close_is_answered_and_the_connection_ended() {
    Session session;
    session.send(frame({kClose}));
    session.check_close("");
}

void codes_that_may_be_sent_are_echoed() {
    for (const uint16_t code : {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013,
                                1014, 3000, 3999, 4000, 4999}) {
        Session session;
        session.send(close_frame(code));
        session.check_close(payload_of(code));
    }
}

void codes_that_may_not_be_sent_are_refused() {
    for (const uint16_t code :
         {0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535}) {
        Session session;
        session.send(close_frame(code));
        session.check_failed(kProtocolError);
    }
}

void a_payload_of_one_byte_is_refused() {
    for (const char byte : {'\0', '\x03', '\xff'}) {
        Session session;
        session.send(frame({kClose}, std::string(1, byte)));
        session.check_failed(kProtocolError);
    }
}

void the_reason_is_echoed_up_to_its_longest() {
    for (const std::string &reason :
         {std::string("bye"), std::string("\xe1\x80\x80 \xf4\x8f\xbf\xbf"),
          std::string(123, 'r')}) {
        Session session;
        session.send(close_frame(1000, reason));
        session.check_close(payload_of(1000, reason));
    }
}

void a_reason_that_is_not_text_fails() {
    for (const char *reason :
         {"\xff", "good \xc0\x80", "\xed\xa0\x80", "ends in \xe1\x80", "\xf1"}) {
        Session session;
        session.send(close_frame(1000, reason));
        session.check_failed(kInvalidPayload);
    }
}

void nothing_after_a_close_is_answered() {
    Session session;
    session.send(close_frame(1000) + text_frame("late") + frame({kPing}, "late") +
                 close_frame(1001) + frame({3}));
    session.check_close(payload_of(1000));
}

void what_came_before_a_close_is_echoed() {
    Session session;
    session.send(text_frame("first"));
    session.check_echo(kText, "first");
    session.send(frame({kText, false}, "half a mess") + close_frame(1000));
    Frame next = session.frame();
    if (next.opcode == kText)
        next = session.frame();
    CHECK_EQ(+next.opcode, +kClose);
    CHECK_EQ(next.payload, payload_of(1000));
    session.check_end();
}

void a_close_split_at_every_byte_is_the_same() {
    const std::string bytes = close_frame(1001, "going");
    for (size_t at = 0; at <= bytes.size(); ++at) {
        Session session;
        session.send(bytes.substr(0, at));
        session.send(bytes.substr(at));
        session.check_close(payload_of(1001, "going"));
    }
}

}  // namespace

std::vector<CMUnitTest> close_cases() {
    return {
        E2E_TEST(a_close_is_answered_and_the_connection_ended),
        E2E_TEST(codes_that_may_be_sent_are_echoed),
        E2E_TEST(codes_that_may_not_be_sent_are_refused),
        E2E_TEST(a_payload_of_one_byte_is_refused),
        E2E_TEST(the_reason_is_echoed_up_to_its_longest),
        E2E_TEST(a_reason_that_is_not_text_fails),
        E2E_TEST(nothing_after_a_close_is_answered),
        E2E_TEST(what_came_before_a_close_is_echoed),
        E2E_TEST(a_close_split_at_every_byte_is_the_same),
    };
}

}  // namespace conformance
