// The examples of the driver transport, as programs. (That the poll loop's echo is one, the test of
// the echo programs says.)
#include "certificate.hpp"
#include "check.hpp"
#include "http_client.hpp"
#include "server_process.hpp"
#include "test_main.hpp"
#include "waiting.hpp"

#include <cstdlib>

using namespace e2e;

namespace {

// With the rest of the pair's command line, if any.
ProcessResult run_pair(std::vector<std::string> arguments = {}) {
    arguments.insert(arguments.begin(), {WITHOUT_SOCKETS, PAIR});
    return run_process(arguments);
}

void check_conversation(const ProcessResult &result, const std::string &by) {
    CHECK_EQ(result.err, "");
    CHECK_EQ(result.exit_status, 0);
    CHECK(result.out.find("client: connected\nclient: sends \"hello\"\n"
                          "client: receives \"hello\"\n") != std::string::npos);
    CHECK(result.out.find("client: closed\n3 of 3 messages came back") != std::string::npos);
    const std::string end = " bytes" + by + "\n";
    CHECK_EQ(result.out.substr(result.out.size() - end.size()), end);
}

void the_pair_talks_without_a_socket() {
    check_conversation(run_pair(), "");
}

void the_pair_talks_tls_without_a_socket() {
    const char *tls = getenv("LWS_PROTON_TEST_TLS_DIR");
    CHECK(tls);
    check_conversation(run_pair({std::string(tls) + "/cert.pem", std::string(tls) + "/key.pem"}),
                       " of TLS");
}

void the_pair_fails_with_a_certificate_of_another_host() {
    const Certificate other("other.example");
    const ProcessResult result = run_pair({other.path(), other.key_path()});
    CHECK_EQ(result.exit_status, 1);
    CHECK(result.out.find("hostname mismatch") != std::string::npos);
    CHECK(result.out.find("0 of 3 messages came back") != std::string::npos);
}

void a_program_with_a_socket_would_not_get_that_far() {
    const ProcessResult result = run_process({WITHOUT_SOCKETS, POLL_LOOP, "--port", "0"});
    CHECK_EQ(result.exit_status, -1);
    CHECK_EQ(result.out, "");
}

void wrong_arguments_are_the_usage() {
    for (const char *program : {PAIR, POLL_LOOP}) {
        const ProcessResult result = run_process({program, "one"});
        CHECK_EQ(result.exit_status, 2);
        CHECK_EQ(result.out, "");
        CHECK_EQ(result.err.find("usage: "), 0u);
    }
}

void the_poll_loop_serves_its_page() {
    ServerProcess server(POLL_LOOP, {});
    HttpClient client(server.port());
    for (int i = 0; i < 3; i++) {
        client.get("/");
        const auto response = client.read_response();
        CHECK_EQ(response.status, 200);
        CHECK(response.body.find("</html>") != std::string::npos);
    }
    server.stop();
}

void the_poll_loop_lets_go_of_what_its_peers_leave() {
    ServerProcess server(POLL_LOOP, {});
    const size_t before = server.fd_count();
    for (int i = 0; i < 50; i++) {
        HttpClient client(server.port());
        client.get("/");
        if (i % 2)
            CHECK_EQ(client.read_response().status, 200);
    }
    await("the descriptors to be closed", [&] { return server.fd_count() == before; });
    server.stop();
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        E2E_TEST(the_pair_talks_without_a_socket),
        E2E_TEST(the_pair_talks_tls_without_a_socket),
        E2E_TEST(the_pair_fails_with_a_certificate_of_another_host),
        E2E_TEST(a_program_with_a_socket_would_not_get_that_far),
        E2E_TEST(wrong_arguments_are_the_usage),
        E2E_TEST(the_poll_loop_serves_its_page),
        E2E_TEST(the_poll_loop_lets_go_of_what_its_peers_leave),
    };
    return cmocka_run_group_tests_name("driver_examples", tests, nullptr, nullptr);
}
