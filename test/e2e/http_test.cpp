// HTTP/1.1: what well-behaved, slow, broken and hostile clients get.
#include "check.hpp"
#include "http_client.hpp"
#include "server_process.hpp"
#include "temporary_directory.hpp"
#include "test_main.hpp"

#include <cstdio>

using namespace e2e;

namespace {

constexpr size_t kBigFile = 10 * 1000 * 1000;

std::string url(const ServerProcess &server, const std::string &path)
{
    return "http://127.0.0.1:" + std::to_string(server.port()) + path;
}

std::string curl(const ServerProcess &server, const std::string &path)
{
    const ProcessResult result =
        run_process({"curl", "--silent", "--show-error", "--fail", url(server, path)});
    CHECK_EQ(result.err, "");
    CHECK_EQ(result.exit_status, 0);
    return result.out;
}

void check_is_the_page(const HttpResponse &response)
{
    CHECK_EQ(response.status, 200);
    CHECK_EQ(response.headers.at("content-type"), "text/html");
    CHECK(response.body.find("<title>Minimal Websocket test app</title>") != std::string::npos);
    CHECK_EQ(response.body.substr(response.body.size() - 8), "</html>\n");
}

// The server has survived what came before and serves as ever.
void check_still_serves(ServerProcess &server)
{
    CHECK(server.running());
    HttpClient client(server.port());
    client.get("/");
    check_is_the_page(client.read_response());
}

// A server with big.bin in its --files.
class BigFileServer {
public:
    explicit BigFileServer(std::vector<std::string> arguments = {})
        : content(random_bytes(kBigFile)), server(with_files(std::move(arguments)))
    {
    }

    TemporaryDirectory directory;
    const std::string content;
    ServerProcess server;

private:
    std::vector<std::string> with_files(std::vector<std::string> arguments)
    {
        directory.write("big.bin", content);
        arguments.insert(arguments.end(), {"--files", directory.path()});
        return arguments;
    }
};

void curl_gets_the_page_and_all_that_it_names()
{
    ServerProcess server;
    const std::string page = curl(server, "/");
    CHECK(page.find("<title>Minimal Websocket test app</title>") != std::string::npos);
    CHECK(page.find("lws-mirror-protocol") != std::string::npos);

    const struct {
        const char *name, *marker;
    } parts[] = {
        {"test.js", "function ws_open_mirror()"},
        {"lws-common.js", "function new_ws("},
        {"test.css", "{"},
        {"libwebsockets.org-logo.svg", "<svg"},
    };
    for (const auto &part : parts) {
        CHECK(page.find(part.name) != std::string::npos);
        CHECK(curl(server, std::string("/") + part.name).find(part.marker) != std::string::npos);
    }
    server.stop();
}

void a_missing_page_is_a_404()
{
    ServerProcess server;
    HttpClient client(server.port());
    client.get("/no-such-page.html");
    CHECK_EQ(client.read_response().status, 404);
    server.stop();
}

void curl_gets_a_10_mb_file_byte_for_byte()
{
    BigFileServer big;
    const ProcessResult result =
        run_process({"curl", "--silent", "--show-error", "--fail", "--output",
                     big.directory.file("copy"), url(big.server, "/files/big.bin")});
    CHECK_EQ(result.err, "");
    CHECK_EQ(result.exit_status, 0);
    CHECK(big.directory.read("copy") == big.content);
    big.server.stop();
}

void a_slow_reader_gets_a_10_mb_file_byte_for_byte()
{
    constexpr int kSmallReceiveBuffer = 16 * 1024;
    constexpr size_t kAtATime = 1000;

    BigFileServer big;
    HttpClient client(big.server.port(), {kSmallReceiveBuffer, 0});
    client.get("/files/big.bin");
    std::string all;
    char block[kAtATime];
    size_t wanted = std::string::npos; // until the head says
    while (all.size() < wanted) {
        CHECK(client.socket().await_readable());
        const IoResult got = client.socket().receive_some(block, sizeof block);
        CHECK(got.state == Io::ok);
        all.append(block, got.bytes);
        const size_t head = all.find("\r\n\r\n");
        if (wanted == std::string::npos && head != std::string::npos)
            wanted = head + 4 + kBigFile;
    }
    CHECK_EQ(all.size(), wanted);
    CHECK(all.compare(wanted - kBigFile, kBigFile, big.content) == 0);
    big.server.stop();
}

void eight_clients_get_the_file_at_once()
{
    constexpr int kClients = 8;
    BigFileServer big;
    std::vector<std::string> argv{"curl", "--silent", "--show-error", "--fail", "--parallel",
                                  "--parallel-immediate", "--no-progress-meter"};
    for (int i = 0; i < kClients; ++i)
        argv.insert(argv.end(), {"--output", big.directory.file("copy" + std::to_string(i)),
                                 url(big.server, "/files/big.bin")});
    const ProcessResult result = run_process(argv);
    CHECK_EQ(result.err, "");
    CHECK_EQ(result.exit_status, 0);
    for (int i = 0; i < kClients; ++i)
        CHECK(big.directory.read("copy" + std::to_string(i)) == big.content);
    big.server.stop();
}

void a_connection_is_kept_for_the_next_request()
{
    ServerProcess server;
    HttpClient client(server.port());
    for (int i = 0; i < 3; ++i) {
        client.get("/");
        check_is_the_page(client.read_response());
    }
    server.stop();
}

void pipelined_requests_are_answered_in_order()
{
    ServerProcess server;
    HttpClient client(server.port());
    client.socket().send_all(HttpClient::get_request("/test.css") + HttpClient::get_request("/") +
                             HttpClient::get_request("/lws-common.js"));
    const HttpResponse first = client.read_response();
    CHECK_EQ(first.status, 200);
    CHECK_EQ(first.headers.at("content-type"), "text/css");
    check_is_the_page(client.read_response());
    const HttpResponse third = client.read_response();
    CHECK_EQ(third.status, 200);
    CHECK(third.body.find("function new_ws(") != std::string::npos);
    server.stop();
}

void many_pipelined_requests_are_all_answered()
{
    constexpr int kRequests = 50;
    ServerProcess server;
    HttpClient client(server.port());
    std::string requests;
    for (int i = 0; i < kRequests; ++i)
        requests += HttpClient::get_request(i % 2 ? "/" : "/test.css");
    client.socket().send_all(requests);
    for (int i = 0; i < kRequests; ++i) {
        const HttpResponse response = client.read_response();
        CHECK_EQ(response.status, 200);
        CHECK_EQ(response.headers.at("content-type"), i % 2 ? "text/html" : "text/css");
    }
    server.stop();
}

// What lws's protocol_post_demo answers to a field that it knows.
std::string post_demo_row(const std::string &name, const std::string &value)
{
    return "<b>" + name + "</b></td><td>" + std::to_string(value.size()) + "</td><td>" + value +
           "</td>";
}

std::string form_head(size_t length)
{
    return "POST /formtest HTTP/1.1\r\nHost: localhost\r\n"
           "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: " +
           std::to_string(length) + "\r\n\r\n";
}

void a_slowly_posted_form_is_understood()
{
    constexpr size_t kGroup = 3; // bytes a write: some writes end within a %-escape
    const std::string body = "text=proton+%26+lws+%3D+one&send=yes";

    ServerProcess server;
    HttpClient client(server.port());
    client.socket().send_all(form_head(body.size()));
    for (size_t at = 0; at < body.size(); at += kGroup) {
        client.socket().send_all(std::string_view(body).substr(at, kGroup));
        // Once all is acknowledged the next group cannot share a segment with this one.
        await("the group to arrive", [&] { return client.socket().unsent() == 0; });
    }
    const HttpResponse response = client.read_response();
    CHECK_EQ(response.status, 200);
    CHECK(response.body.find(post_demo_row("text", "proton & lws = one")) != std::string::npos);
    CHECK(response.body.find(post_demo_row("send", "yes")) != std::string::npos);
    server.stop();
}

void a_posted_form_leaves_the_connection_usable()
{
    const std::string body = "text=again&send=1";
    ServerProcess server;
    HttpClient client(server.port());
    for (int i = 0; i < 2; ++i) {
        client.socket().send_all(form_head(body.size()) + body);
        const HttpResponse response = client.read_response();
        CHECK_EQ(response.status, 200);
        CHECK(response.body.find(post_demo_row("text", "again")) != std::string::npos);
    }
    client.get("/");
    check_is_the_page(client.read_response());
    server.stop();
}

void a_half_closed_client_gets_the_whole_page()
{
    ServerProcess server;
    HttpClient client(server.port());
    client.socket().send_last(HttpClient::get_request("/"));
    check_is_the_page(client.read_response());
    server.stop();
}

// lws takes a peer's end of stream for its end: stock lws may drop the transfer, so a client that
// half-closes cannot count on a long answer. What it gets must be a prefix, and then an end.
void a_half_closed_client_gets_a_prefix_of_a_big_file()
{
    BigFileServer big;
    HttpClient client(big.server.port());
    client.socket().send_last(HttpClient::get_request("/files/big.bin"));
    const HttpResponse response = client.read_to_end();
    printf("             half-closed: %zu of %zu bytes came\n", response.body.size(), kBigFile);
    CHECK_LE(response.body.size(), kBigFile);
    CHECK(big.content.compare(0, response.body.size(), response.body) == 0);
    check_still_serves(big.server);
    big.server.stop();
}

void garbage_ends_its_connection_and_nothing_else()
{
    ServerProcess server;
    const std::string noise = random_bytes(20000);
    const std::string garbage[] = {
        noise,
        "\r\n\r\n\r\n\r\n",
        std::string(1000, '\0'),
        "GET\r\n\r\n",
        "/ GET HTTP/1.1\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + noise.substr(0, 500), // a TLS hello
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + noise.substr(0, 500),
    };
    for (const std::string &bytes : garbage) {
        TcpSocket client(server.port());
        // It may be refused at any of its bytes: how many were taken does not matter.
        client.await_writable();
        client.send_some(bytes);
        client.shutdown_write();
        const std::string answer = client.receive_to_end();
        CHECK(answer.find(" 200 ") == std::string::npos);
    }
    check_still_serves(server);
    server.stop();
}

void a_silent_client_is_closed_by_the_time_out()
{
    ServerProcess server({"--timeout-secs", "2"});
    TcpSocket client(server.port());
    CHECK_EQ(client.receive_to_end(), "");
    check_still_serves(server);
    server.stop();
}

void half_a_request_is_closed_by_the_time_out()
{
    ServerProcess server({"--timeout-secs", "2"});
    TcpSocket client(server.port());
    client.send_all("GET / HTTP/1.1\r\nHost: loc");
    CHECK(client.receive_to_end().find(" 200 ") == std::string::npos);
    check_still_serves(server);
    server.stop();
}

void a_request_sent_byte_by_byte_is_answered()
{
    ServerProcess server;
    HttpClient client(server.port());
    for (const char byte : HttpClient::get_request("/", "X-Padding: one byte at a time\r\n")) {
        client.socket().send_all({&byte, 1});
        await("the byte to arrive", [&] { return client.socket().unsent() == 0; });
    }
    check_is_the_page(client.read_response());
    server.stop();
}

void a_request_head_of_1_mb_is_refused()
{
    constexpr size_t kHead = 1000 * 1000;
    ServerProcess server;
    const std::string heads[] = {
        "GET /" + std::string(kHead, 'a') + " HTTP/1.1\r\nHost: localhost\r\n\r\n",
        HttpClient::get_request("/", "Cookie: " + std::string(kHead, 'c') + "\r\n"),
    };
    for (const std::string &head : heads) {
        TcpSocket client(server.port());
        std::string_view rest = head;
        bool refused = false;
        while (!rest.empty() && !refused) {
            CHECK(client.await_writable());
            const IoResult sent = client.send_some(rest);
            rest.remove_prefix(sent.bytes);
            refused = sent.state == Io::reset;
        }
        const std::string answer = client.receive_to_end();
        CHECK(answer.find(" 200 ") == std::string::npos);
        CHECK(server.running());
    }
    check_still_serves(server);
    server.stop();
}

void clients_that_reset_in_mid_transfer_leave_nothing_behind()
{
    constexpr int kClients = 100;
    BigFileServer big;
    check_still_serves(big.server);
    const size_t descriptors = big.server.fd_count();
    for (int i = 0; i < kClients; ++i) {
        HttpClient client(big.server.port());
        client.get("/files/big.bin");
        CHECK(client.socket().await_readable());
        client.socket().reset();
    }
    await("their descriptors to go", [&] { return big.server.fd_count() <= descriptors; });
    check_still_serves(big.server);
    big.server.stop();
}

void thousands_of_requests_leave_nothing_behind()
{
    constexpr int kKeptAlive = kSanitized ? 500 : 3000;
    constexpr int kOwnConnection = kSanitized ? 300 : 2000;
    // What an allocator may still find to grow in the second half.
    constexpr size_t kMostGrowthKib = 2 * 1024;

    ServerProcess server;
    const auto half = [&] {
        HttpClient kept(server.port());
        for (int i = 0; i < kKeptAlive / 2; ++i) {
            kept.get("/");
            check_is_the_page(kept.read_response());
        }
        for (int i = 0; i < kOwnConnection / 2; ++i) {
            HttpClient once(server.port());
            once.get("/");
            check_is_the_page(once.read_response());
        }
    };
    half();
    const size_t after_first = server.rss_kib();
    half();
    const size_t after_second = server.rss_kib();
    printf("             RSS %zu KiB after the first half, %zu KiB after the second\n",
           after_first, after_second);
    if (!kSanitized)
        CHECK_LE(after_second, after_first + kMostGrowthKib);
    server.stop();
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        E2E_TEST(curl_gets_the_page_and_all_that_it_names),
        E2E_TEST(a_missing_page_is_a_404),
        E2E_TEST(curl_gets_a_10_mb_file_byte_for_byte),
        E2E_TEST(a_slow_reader_gets_a_10_mb_file_byte_for_byte),
        E2E_TEST(eight_clients_get_the_file_at_once),
        E2E_TEST(a_connection_is_kept_for_the_next_request),
        E2E_TEST(pipelined_requests_are_answered_in_order),
        E2E_TEST(many_pipelined_requests_are_all_answered),
        E2E_TEST(a_slowly_posted_form_is_understood),
        E2E_TEST(a_posted_form_leaves_the_connection_usable),
        E2E_TEST(a_half_closed_client_gets_the_whole_page),
        E2E_TEST(a_half_closed_client_gets_a_prefix_of_a_big_file),
        E2E_TEST(garbage_ends_its_connection_and_nothing_else),
        E2E_TEST(a_silent_client_is_closed_by_the_time_out),
        E2E_TEST(half_a_request_is_closed_by_the_time_out),
        E2E_TEST(a_request_sent_byte_by_byte_is_answered),
        E2E_TEST(a_request_head_of_1_mb_is_refused),
        E2E_TEST(clients_that_reset_in_mid_transfer_leave_nothing_behind),
        E2E_TEST(thousands_of_requests_leave_nothing_behind),
    };
    return cmocka_run_group_tests_name("http", tests, nullptr, nullptr);
}
