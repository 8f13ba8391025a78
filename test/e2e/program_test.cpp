// The program's contract with whoever starts it: ready line, signals, options, port in use.
#include "check.hpp"
#include "http_client.hpp"
#include "server_process.hpp"
#include "test_main.hpp"
#include "ws_client.hpp"

#include <sstream>

using namespace e2e;

namespace {

void sigterm_stops_it_cleanly()
{
    ServerProcess server;
    server.stop(SIGTERM);
}

void sigint_stops_it_cleanly()
{
    ServerProcess server;
    server.stop(SIGINT);
}

void it_serves_as_soon_as_it_says_ready()
{
    ServerProcess server;
    HttpClient client(server.port());
    client.get("/");
    CHECK_EQ(client.read_response().status, 200);
    server.stop();
}

void it_stops_cleanly_with_connections_in_every_state()
{
    ServerProcess server;
    const TcpSocket silent(server.port());
    TcpSocket half_a_request(server.port());
    half_a_request.send_all("GET / HTT");
    HttpClient kept_alive(server.port());
    kept_alive.get("/");
    CHECK_EQ(kept_alive.read_response().status, 200);
    HttpClient not_reading(server.port(), {4096, 0});
    not_reading.get("/leaf.jpg"); // 2.4 MB
    CHECK(not_reading.socket().await_readable());
    WsClient mirror(server.port(), "lws-mirror-protocol");
    mirror.await_open();
    WsClient counter(server.port(), "dumb-increment-protocol");
    counter.await_frame();
    server.stop();
}

void a_port_in_use_is_one_clear_error()
{
    ServerProcess server;
    const std::string port = std::to_string(server.port());
    std::vector<std::string> argv{server_program(), "--port", port};
    const ProcessResult second = run_process(argv);
    CHECK(second.exit_status > 0);
    CHECK_EQ(second.out, "");

    // lws may log more, but one line is the program's own.
    size_t lines = 0;
    std::istringstream log(second.err);
    for (std::string line; std::getline(log, line);)
        lines += line.rfind("lws-proton-mirror: ", 0) == 0 &&
                 line.find(port) != std::string::npos;
    CHECK_EQ(lines, 1u);
    server.stop();
}

void a_port_is_free_again_after_a_stop()
{
    int port;
    {
        ServerProcess first;
        port = first.port();
        HttpClient client(port);
        client.get("/");
        CHECK_EQ(client.read_response().status, 200);
        first.stop(); // closes first: the server's side of this connection is in TIME_WAIT
    }
    ServerProcess second({"--port", std::to_string(port)});
    CHECK_EQ(second.port(), port);
    second.stop();
}

void help_goes_to_stdout()
{
    const ProcessResult help = run_process({server_program(), "--help"});
    CHECK_EQ(help.exit_status, 0);
    for (const char *option : {"--port", "--threads", "--bind", "--files", "--help"})
        CHECK(help.out.find(option) != std::string::npos);
}

void an_unknown_option_is_refused()
{
    const ProcessResult result = run_process({server_program(), "--no-such-option"});
    CHECK(result.exit_status > 0);
    CHECK_EQ(result.out, "");
    CHECK(!result.err.empty());
}

void a_port_that_is_no_port_is_refused()
{
    for (const char *port : {"65536", "-1", "http", ""}) {
        const ProcessResult result = run_process({server_program(), "--port", port});
        CHECK(result.exit_status > 0);
        CHECK_EQ(result.out, "");
    }
}

void an_address_that_is_not_ours_is_refused()
{
    // TEST-NET-1 of RFC 5737: no host has it
    const ProcessResult result =
        run_process({server_program(), "--port", "0", "--bind", "192.0.2.1"});
    CHECK(result.exit_status > 0);
    CHECK_EQ(result.out, "");
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        E2E_TEST(sigterm_stops_it_cleanly),
        E2E_TEST(sigint_stops_it_cleanly),
        E2E_TEST(it_serves_as_soon_as_it_says_ready),
        E2E_TEST(it_stops_cleanly_with_connections_in_every_state),
        E2E_TEST(a_port_in_use_is_one_clear_error),
        E2E_TEST(a_port_is_free_again_after_a_stop),
        E2E_TEST(help_goes_to_stdout),
        E2E_TEST(an_unknown_option_is_refused),
        E2E_TEST(a_port_that_is_no_port_is_refused),
        E2E_TEST(an_address_that_is_not_ours_is_refused),
    };
    return cmocka_run_group_tests_name("program", tests, nullptr, nullptr);
}
