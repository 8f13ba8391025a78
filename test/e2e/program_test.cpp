// The program's contract with whoever starts it: ready line, signals, options, port in use.
#include "check.hpp"
#include "http_client.hpp"
#include "server_process.hpp"
#include "temporary_directory.hpp"
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
    for (const char *option : {"--port", "--threads", "--bind", "--files", "--tls-cert", "--tls-key", "--help"})
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

// A certificate for localhost, and its key.
std::string tls_file(const std::string &name)
{
    const char *directory = getenv("LWS_PROTON_TEST_TLS_DIR");
    if (!directory)
        FAIL("LWS_PROTON_TEST_TLS_DIR names no directory");
    return std::string(directory) + "/" + name;
}

ProcessResult run_with_tls(const std::string &cert, const std::string &key)
{
    return run_process({server_program(), "--port", "0", "--tls-cert", cert, "--tls-key", key});
}

void check_one_line(const ProcessResult &result, const std::string &with)
{
    CHECK(result.exit_status > 0);
    CHECK_EQ(result.out, "");
    CHECK_EQ(result.err.find("lws-proton-mirror: "), 0u);
    CHECK_EQ(result.err.find('\n'), result.err.size() - 1);
    if (result.err.find(with) == std::string::npos)
        FAIL("no '" + with + "' in: " + result.err);
}

void with_a_certificate_it_says_https()
{
    ServerProcess server({"--tls-cert", tls_file("cert.pem"), "--tls-key", tls_file("key.pem")});
    CHECK_EQ(server.url(), "https://localhost:" + std::to_string(server.port()) + "/");
    server.stop();
}

void a_certificate_and_its_key_want_each_other()
{
    for (const char *option : {"--tls-cert", "--tls-key"})
        check_one_line(run_process({server_program(), "--port", "0", option, tls_file("key.pem")}),
                       "--tls-cert and --tls-key want each other");
}

void a_tls_file_that_cannot_be_read_is_named()
{
    const std::string cert = tls_file("cert.pem"), key = tls_file("key.pem");
    check_one_line(run_with_tls("/no/such", key), "--tls-cert: cannot read '/no/such': No such");
    check_one_line(run_with_tls(cert, "/no/such"), "--tls-key: cannot read '/no/such': No such");
    check_one_line(run_with_tls("/tmp", key), "--tls-cert: cannot read '/tmp': Is a directory");
}

void a_tls_file_that_is_none_is_named()
{
    const TemporaryDirectory directory;
    directory.write("text", "no certificate");
    const std::string text = directory.file("text");
    check_one_line(run_with_tls(text, tls_file("key.pem")), "cert '" + text + "'");
    check_one_line(run_with_tls(tls_file("cert.pem"), text), "key '" + text + "'");
}

void a_key_of_another_certificate_is_refused()
{
    const TemporaryDirectory directory;
    const ProcessResult made = run_process({"openssl", "genpkey", "-algorithm", "EC", "-pkeyopt",
                                            "ec_paramgen_curve:prime256v1", "-out",
                                            directory.file("key.pem")});
    CHECK_EQ(made.exit_status, 0);
    check_one_line(run_with_tls(tls_file("cert.pem"), directory.file("key.pem")),
                   "key values mismatch");
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
        E2E_TEST(with_a_certificate_it_says_https),
        E2E_TEST(a_certificate_and_its_key_want_each_other),
        E2E_TEST(a_tls_file_that_cannot_be_read_is_named),
        E2E_TEST(a_tls_file_that_is_none_is_named),
        E2E_TEST(a_key_of_another_certificate_is_refused),
        E2E_TEST(an_address_that_is_not_ours_is_refused),
    };
    return cmocka_run_group_tests_name("program", tests, nullptr, nullptr);
}
