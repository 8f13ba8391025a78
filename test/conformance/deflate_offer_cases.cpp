// RFC 7692, sections 5 and 7.1: what is offered, and what may be answered.
#include "check.hpp"
#include "session.hpp"

#include "cases.hpp"

#include <set>
#include <sstream>

namespace conformance {

namespace {

// The parameters of an answer, as "name" or "name=value".
std::set<std::string> parameters(const std::string &answer) {
    std::set<std::string> all;
    std::istringstream parts(answer);
    std::string part;
    std::getline(parts, part, ';');
    CHECK_EQ(part, kDeflate);
    while (std::getline(parts, part, ';')) {
        part.erase(0, part.find_first_not_of(' '));
        CHECK(all.insert(part).second);
    }
    return all;
}

void check_round_trip(Session &session, int server_bits = 15, int client_bits = 15) {
    Deflater deflater(client_bits);
    Inflater inflater(server_bits);
    // Longer than any window, so that distances grow as far as they may.
    std::string text;
    for (int i = 0; i < 12000; ++i)
        text += "text " + std::to_string(i * 7919 % 12001) + ' ';
    for (int i = 0; i < 2; ++i) {
        session.send(frame({kText, true, kRsv1}, deflater.message(text)));
        const Message echo = session.message();
        CHECK(echo.compressed);
        CHECK(inflater.message(echo.payload) == text);
    }
}

void no_offer_no_extension() {
    Session session;
    CHECK_EQ(session.extensions(), "");
    session.check_alive();
}

void a_plain_offer_is_accepted_plainly() {
    Session session(kDeflate);
    CHECK_EQ(session.extensions(), kDeflate);
    check_round_trip(session);
}

void an_unknown_extension_is_passed_over() {
    Session session("x-unknown; " + std::string("a=1, ") + kDeflate + ", x-other");
    CHECK_EQ(session.extensions(), kDeflate);
    check_round_trip(session);
    Session unknown("x-unknown");
    CHECK_EQ(unknown.extensions(), "");
    unknown.check_alive();
}

void taking_over_is_agreed_on() {
    Session server(kDeflate + "; server_no_context_takeover");
    CHECK(parameters(server.extensions()).count("server_no_context_takeover"));
    Session both(kDeflate + "; client_no_context_takeover; server_no_context_takeover");
    CHECK(parameters(both.extensions()).count("server_no_context_takeover"));
}

void a_client_that_can_limit_its_window_need_not() {
    Session session(kDeflate + "; client_max_window_bits");
    for (const std::string &parameter : parameters(session.extensions()))
        CHECK_EQ(parameter, "client_max_window_bits=15");
    check_round_trip(session);
}

void a_client_that_limits_its_window_is_understood() {
    for (int bits = 9; bits <= 15; ++bits) {
        Session session(kDeflate + "; client_max_window_bits=" + std::to_string(bits));
        check_round_trip(session, 15, bits);
    }
}

// Accepted, and then kept; or declined.
void a_limit_for_the_servers_window_is_kept_or_declined() {
    for (int bits = 9; bits <= 15; ++bits) {
        const std::string limit = "server_max_window_bits=" + std::to_string(bits);
        Session session(kDeflate + "; " + limit);
        if (session.extensions().empty())
            session.check_alive();
        else {
            CHECK(parameters(session.extensions()).count(limit));
            check_round_trip(session, bits);
        }
    }
}

void an_offer_that_is_wrong_is_declined() {
    for (const char *parameter :
         {"unknown", "unknown=1", "server_no_context_takeover=1", "client_no_context_takeover=0",
          "server_max_window_bits", "server_max_window_bits=7", "server_max_window_bits=16",
          "server_max_window_bits=010", "client_max_window_bits=7", "client_max_window_bits=x",
          "server_max_window_bits=1000", "rx_buf_size=2", "compression_level=9", "mem_level=1",
          "server_no_context_takeover; server_no_context_takeover",
          "client_max_window_bits; client_max_window_bits=10", "server_no_context_takeoverx"}) {
        Session session(kDeflate + "; " + parameter);
        if (!session.extensions().empty())
            FAIL(std::string(parameter) + " was answered with " + session.extensions());
        session.check_alive();
    }
}

void the_next_offer_is_taken_when_the_first_is_declined() {
    Session session(kDeflate + "; unknown=1, " + kDeflate + "; server_no_context_takeover, " +
                    kDeflate);
    CHECK(parameters(session.extensions()).count("server_no_context_takeover"));
}

void of_two_good_offers_the_first_is_taken() {
    Session session(kDeflate + ", " + kDeflate + "; server_no_context_takeover");
    CHECK_EQ(session.extensions(), kDeflate);
    check_round_trip(session);
}

}  // namespace

std::vector<CMUnitTest> deflate_offer_cases() {
    return {
        E2E_TEST(no_offer_no_extension),
        E2E_TEST(a_plain_offer_is_accepted_plainly),
        E2E_TEST(an_unknown_extension_is_passed_over),
        E2E_TEST(taking_over_is_agreed_on),
        E2E_TEST(a_client_that_can_limit_its_window_need_not),
        E2E_TEST(a_client_that_limits_its_window_is_understood),
        E2E_TEST(a_limit_for_the_servers_window_is_kept_or_declined),
        E2E_TEST(an_offer_that_is_wrong_is_declined),
        E2E_TEST(the_next_offer_is_taken_when_the_first_is_declined),
        E2E_TEST(of_two_good_offers_the_first_is_taken),
    };
}

}  // namespace conformance
