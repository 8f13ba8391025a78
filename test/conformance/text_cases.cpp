// RFC 6455, section 8.1: text is UTF-8, and a connection fails as soon as it is not.
#include "check.hpp"
#include "session.hpp"

#include "cases.hpp"

namespace conformance {

namespace {

constexpr uint16_t kInvalidPayload = 1007;

const std::vector<std::string> kValid = {
    "\x7f",
    "\xc2\x80",
    "\xdf\xbf",
    "\xe0\xa0\x80",
    "\xed\x9f\xbf",
    "\xee\x80\x80",
    "\xef\xbf\xbd",
    "\xef\xbf\xbf",  // a noncharacter is valid
    "\xf0\x90\x80\x80",
    "\xf4\x8f\xbf\xbf",  // U+10FFFF
    "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5",
    std::string("\0", 1),
};

// Each wrong at its last byte, and not before.
const std::vector<std::string> kInvalid = {
    "\x80",
    "\xbf",
    "\xc0",  // only overlong forms begin so
    "\xc1",
    "\xf5",  // above U+10FFFF
    "\xff",
    "\xfe",
    "\xc2\x20",
    "\xc2\xc2",
    "\xe0\x80",  // overlong
    "\xe0\x9f",
    "\xed\xa0",  // a surrogate
    "\xe1\x80\x20",
    "\xf0\x80",  // overlong
    "\xf0\x8f",
    "\xf4\x90",  // above U+10FFFF
    "\xf1\x80\x80\x20",
};

const std::vector<std::string> kUnfinished = {
    "\xc2", "\xe1", "\xe1\x80", "\xf1", "\xf1\x80", "\xf1\x80\x80",
};

void valid_text_is_echoed_however_it_is_cut() {
    Session session;
    std::string all;
    for (const std::string &text : kValid) {
        session.send(text_frame(text));
        session.check_echo(kText, text);
        all += text;
    }
    for (size_t at = 0; at <= all.size(); ++at) {
        session.send(frame({kText, false}, all.substr(0, at)) +
                     frame({kContinuation}, all.substr(at)));
        session.check_echo(kText, all);
    }
    const std::string bytes = text_frame(all);
    for (size_t at = 0; at <= bytes.size(); ++at) {
        session.send(bytes.substr(0, at));
        session.send(bytes.substr(at));
        session.check_echo(kText, all);
    }
    for (size_t i = 0; i < all.size(); ++i)
        session.send(frame({i ? kContinuation : kText, i + 1 == all.size()}, all.substr(i, 1)) +
                     frame({kPing}));
    session.check_echo(kText, all);
}

void invalid_text_fails() {
    for (const std::string &text : kInvalid) {
        Session session;
        session.send(text_frame("before " + text + " after"));
        session.check_failed(kInvalidPayload);
    }
}

void invalid_text_fails_across_fragments() {
    for (const std::string &text : kInvalid)
        for (size_t at = 0; at <= text.size(); ++at) {
            Session session;
            session.send(frame({kText, false}, text.substr(0, at)) +
                         frame({kContinuation}, text.substr(at)));
            session.check_failed(kInvalidPayload);
        }
}

void invalid_text_fails_before_the_message_ends() {
    for (const std::string &text : kInvalid) {
        Session session;
        session.send(frame({kText, false}, text));
        session.check_failed(kInvalidPayload);
    }
}

void invalid_text_fails_before_the_frame_ends() {
    for (const std::string &text : kInvalid) {
        Session session;
        session.send(frame({kText}, text + std::string(1000, '.')).substr(0, 8 + text.size()));
        session.check_failed(kInvalidPayload);
    }
}

void text_that_ends_inside_a_character_fails() {
    for (const std::string &text : kUnfinished) {
        Session whole;
        whole.send(text_frame("text " + text));
        whole.check_failed(kInvalidPayload);
        Session empty_last;
        empty_last.send(frame({kText, false}, text) + frame({kContinuation}));
        empty_last.check_failed(kInvalidPayload);
        for (size_t at = 1; at < text.size(); ++at) {
            Session cut;
            cut.send(frame({kText, false}, text.substr(0, at)) +
                     frame({kContinuation}, text.substr(at)));
            cut.check_failed(kInvalidPayload);
        }
    }
}

void binary_messages_are_not_looked_at() {
    Session session;
    for (const auto *list : {&kInvalid, &kUnfinished})
        for (const std::string &bytes : *list) {
            session.send(frame({kBinary, false}, bytes) + frame({kContinuation}, bytes));
            session.check_echo(kBinary, bytes + bytes);
            session.check_alive();
        }
}

void control_frames_are_not_looked_at() {
    Session session;
    session.send(frame({kText, false}, "\xe1\x80") + frame({kPing}, "\xff\x80") +
                 frame({kPong}, "\xc0") + frame({kContinuation}, "\x80"));
    session.check_echo(kText, "\xe1\x80\x80");
    session.check_pong("\xff\x80");
}

}  // namespace

std::vector<CMUnitTest> text_cases() {
    return {
        E2E_TEST(valid_text_is_echoed_however_it_is_cut),
        E2E_TEST(invalid_text_fails),
        E2E_TEST(invalid_text_fails_across_fragments),
        E2E_TEST(invalid_text_fails_before_the_message_ends),
        E2E_TEST(invalid_text_fails_before_the_frame_ends),
        E2E_TEST(text_that_ends_inside_a_character_fails),
        E2E_TEST(binary_messages_are_not_looked_at),
        E2E_TEST(control_frames_are_not_looked_at),
    };
}

}  // namespace conformance
