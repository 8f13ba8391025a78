// The example with AMQP and HTTP on one port: each peer gets what it speaks, however its first bytes
// come, and none keeps another from it.
#include "amqp_client.hpp"
#include "amqp_program.hpp"
#include "check.hpp"
#include "http_client.hpp"
#include "server_process.hpp"
#include "tcp_socket.hpp"
#include "test_main.hpp"
#include "waiting.hpp"
#include "ws_client.hpp"

#include <proton/transport.h>

#include <poll.h>

#include <future>

using namespace e2e;

namespace {

const std::string kAmqpHeader("AMQP\0\1\0\0", 8);
// AMQP 1.0, 2.3.1: a frame of channel 0.
std::string frame(const std::string &performative) {
    const size_t size = 8 + performative.size();
    return std::string("\0\0\0", 3) + static_cast<char>(size) + std::string("\2\0\0\0", 4) +
           performative;
}

const std::string kOpen = frame(std::string("\0\x53\x10\xc0\7\1\xa1\4test", 12));
const std::string kBegin = frame(std::string("\0\x53\x11\xc0\7\4\x40\x43\x52\1\x52\1", 12));
const std::string kEndPerformative("\0\x53\x17\x45", 4);
const std::string kEnd = frame(kEndPerformative);
const std::string kClose = frame(std::string("\0\x53\x18\x45", 4));

// Of amqp_limits.h.
constexpr size_t kMessageMost = 64 * 1024;

class Program : public AmqpProgram {
public:
    explicit Program(std::vector<std::string> arguments = {})
        : AmqpProgram(PROGRAM, std::move(arguments)) {}

    // Nothing that peers do is an error.
    void stop() {
        ServerProcess::stop();
        CHECK_EQ(log(), "");
    }
};

void check_page_is_served(const Program &program) {
    HttpClient client(program.port());
    client.get("/");
    const HttpResponse response = client.read_response();
    CHECK_EQ(response.status, 200);
    CHECK(response.body.find("</html>") != std::string::npos);
}

void check_websocket_echoes(const Program &program, const std::string &text) {
    WsClient client(program.port(), "echo");
    client.await_open();
    client.queue_frame(Opcode::text, text);
    std::string echo;
    while (echo.size() < text.size())
        echo += client.await_frame().payload;
    CHECK_EQ(echo, text);
    client.queue_frame(Opcode::close, close_payload(1000));
    client.await_end();
}

// So many messages, of any length, by one connection.
void check_amqp_echoes(const Program &program, size_t messages) {
    const auto message = [](size_t number) {
        const size_t length = number % 20 == 19 ? kMessageMost - 100 : number * 37 % 3000;
        return std::to_string(number) + std::string(length, '.');
    };
    auto client = program.connect();
    client->receiver("node", 30);
    pn_link_t *link = client->sender("node");
    size_t sent = 0, received = 0;
    client->await("the echoes", [&] {
        while (sent < messages && client->send(link, message(sent)))
            sent++;
        for (const AmqpMessage &echo : client->messages())
            CHECK_EQ(echo.body, message(received++));
        client->messages().clear();
        return received == messages && client->accepted() == messages;
    });
    client->close();
    CHECK_EQ(client->error(), "");
}

void each_peer_gets_what_it_speaks() {
    Program program;
    check_page_is_served(program);
    check_websocket_echoes(program, "hello");
    check_amqp_echoes(program, 1);
    program.stop();
}

void all_are_served_at_once() {
    constexpr int kRounds = kSanitized ? 10 : 50;
    Program program;
    const size_t descriptors = program.fd_count();
    const auto repeat = [&](const std::function<void()> &check) {
        return std::async(std::launch::async, [check] {
            for (int i = 0; i < kRounds; i++)
                check();
        });
    };
    std::future<void> all[] = {
        repeat([&] { check_page_is_served(program); }),
        repeat([&] { check_websocket_echoes(program, std::string(100 * 1000, 'w')); }),
        repeat([&] { check_amqp_echoes(program, 100); }),
        repeat([&] { check_amqp_echoes(program, 100); }),
    };
    for (auto &each : all)
        each.get();
    await("the descriptors to go", [&] { return program.fd_count() == descriptors; });
    program.stop();
}

void send_byte_by_byte(TcpSocket &socket, const std::string &bytes) {
    for (const char byte : bytes) {
        socket.send_all({&byte, 1});
        await("the byte to arrive", [&] { return socket.unsent() == 0; });
    }
}

void first_bytes_may_come_one_by_one() {
    Program program;
    HttpClient http(program.port());
    send_byte_by_byte(http.socket(), HttpClient::get_request("/"));
    CHECK_EQ(http.read_response().status, 200);

    TcpSocket amqp(program.port());
    send_byte_by_byte(amqp, kAmqpHeader);
    CHECK_EQ(amqp.receive_until(kAmqpHeader), kAmqpHeader);
    send_byte_by_byte(amqp, kOpen);
    amqp.receive_until(std::string("\0\x53\x10", 3));
    program.stop();
}

// As long as it could be AMQP it is awaited.
void what_begins_like_amqp_may_be_http() {
    Program program;
    for (size_t length = 1; length < 4; length++) {
        TcpSocket socket(program.port());
        socket.send_all(std::string("AMQP", length));
        await("it to arrive", [&] { return socket.unsent() == 0; });
        socket.send_all(" / HTTP/1.1\r\n\r\n");
        const std::string answer = socket.receive_to_end();
        CHECK_EQ(answer.substr(0, 5), "HTTP/");
    }
    program.stop();
}

void garbage_ends_its_connection_only() {
    Program program;
    auto staying = program.connect();
    for (const std::string &garbage :
         {std::string(5000, '\0'), std::string("\x16\3\1\2\0\1\0\1\xfc\3\3", 11),
          "AMQP" + std::string(5000, 'x'), kAmqpHeader + std::string(5000, '\xff'),
          kAmqpHeader + std::string("\0\0\0\x08\2\0\0\0\0\0\0\x10garbage", 19)}) {
        TcpSocket socket(program.port());
        socket.send_last(garbage);
        socket.receive_to_end();
    }
    sync(*staying);
    staying->close();
    check_page_is_served(program);
    program.stop();
}

void who_is_silent_at_first_is_closed_in_time() {
    Program program({"--timeout-secs", "1"});
    auto idle = program.connect();
    WsClient websocket(program.port(), "echo");
    websocket.await_open();

    std::vector<std::unique_ptr<TcpSocket>> silent;
    for (const std::string &first : {std::string(), std::string("A"), std::string("AMQP"),
                                     kAmqpHeader, std::string("GET / HT")}) {
        silent.push_back(std::make_unique<TcpSocket>(program.port()));
        silent.back()->send_all(first);
    }
    for (auto &socket : silent)
        socket->receive_to_end();

    // Who has shown what it is stays.
    sync(*idle);
    websocket.queue_frame(Opcode::ping, "?");
    CHECK(websocket.await_frame().opcode == Opcode::pong);
    idle->close();
    program.stop();
}

void who_ends_early_leaves_nothing() {
    Program program;
    const size_t descriptors = program.fd_count();
    for (size_t length = 0; length <= kAmqpHeader.size(); length++)
        for (const bool with_reset : {false, true}) {
            TcpSocket socket(program.port());
            if (length)
                socket.send_all(kAmqpHeader.substr(0, length));
            if (with_reset) {
                CHECK_EQ(socket.await_connected(), 0);
                socket.reset();
            } else {
                socket.shutdown_write();
                socket.receive_to_end();
            }
        }
    await("the descriptors to go", [&] { return program.fd_count() == descriptors; });
    program.stop();
}

void a_request_that_ends_its_stream_is_answered() {
    Program program;
    HttpClient client(program.port());
    CHECK_EQ(client.socket().await_connected(), 0);
    client.socket().send_last(HttpClient::get_request("/"));
    CHECK_EQ(client.read_to_end().status, 200);
    program.stop();
}

void who_sends_has_the_credit_of_who_receives() {
    Program program;
    auto client = program.connect();
    pn_link_t *link = client->sender("node"), *other = client->sender("another");
    sync(*client);
    CHECK_EQ(pn_link_credit(link), 0);
    client->receiver("node", 5);
    sync(*client);
    CHECK_EQ(pn_link_credit(link), 5);
    CHECK_EQ(pn_link_credit(other), 0);
    client->close();
    program.stop();
}

// Each session that begins and ends has answers, without end.
void who_reads_nothing_is_not_read_from() {
    // Far more than the kernel's buffers hold, on both sides.
    constexpr size_t kMost = 64 * 1024 * 1024;
    // Nothing has moved for so long: nothing moves.
    constexpr std::chrono::milliseconds kQuiet{300};
    constexpr size_t kAtOnce = 1000;
    Program program;
    TcpSocket socket(program.port(), {16 * 1024, 64 * 1024});
    socket.send_all(kAmqpHeader + kOpen);
    std::string sessions;
    for (size_t i = 0; i < kAtOnce; i++)
        sessions += kBegin + kEnd;
    const size_t before = program.rss_kib();
    size_t sent = 0;
    while (socket.await_writable(Deadline(kQuiet))) {
        sent += socket.send_some(std::string_view(sessions).substr(sent % sessions.size())).bytes;
        CHECK_LE(sent, kMost);
    }
    // What one read began and ended, and an arena of the heap for each thread.
    if (!kSanitized)
        CHECK_LE(program.rss_growth_kib(before), 16 * 1024u);

    auto rest = std::async(std::launch::async, [&] {
        socket.send_all(std::string_view(sessions).substr(sent % sessions.size()));
        socket.send_all(kClose);
    });
    const std::string answers = socket.receive_to_end();
    rest.get();
    size_t ends = 0;
    for (size_t at = 0; (at = answers.find(kEndPerformative, at)) != std::string::npos; at++)
        ends++;
    CHECK_EQ(ends, (sent / sessions.size() + 1) * kAtOnce);
    program.stop();
}

void a_message_that_is_too_long_is_rejected() {
    Program program;
    auto client = program.connect();
    client->receiver("node", 10);
    pn_link_t *link = client->sender("node");
    for (const size_t too_long : {kMessageMost + 1, 10 * kMessageMost}) {
        client->await("credit", [&] { return client->send(link, std::string(too_long, 'x')); });
        client->await("credit", [&] { return client->send(link, "short"); });
    }
    client->await("the short ones", [&] { return client->messages().size() == 2; });
    client->await("their outcomes", [&] { return client->accepted() + client->rejected() == 4; });
    CHECK_EQ(client->rejected(), 2u);
    for (const AmqpMessage &message : client->messages())
        CHECK_EQ(message.body, "short");
    client->close();
    program.stop();
}

void a_peer_that_wants_heartbeats_gets_them() {
    Program program;
    auto client = std::make_unique<AmqpClient>(program.amqp_port());
    pn_transport_set_idle_timeout(client->transport(), 200);
    client->await_open();
    const uint64_t before = pn_transport_get_frames_input(client->transport());
    client->await("three heartbeats", [&] {
        return pn_transport_get_frames_input(client->transport()) >= before + 3;
    });
    client->close();
    program.stop();
}

void it_stops_cleanly_with_connections_in_every_state() {
    for (const int signal_number : {SIGTERM, SIGINT}) {
        Program program;
        const TcpSocket silent(program.port());
        TcpSocket undecided(program.port()), amqp(program.port()), http(program.port());
        undecided.send_all("AM");
        amqp.send_all(kAmqpHeader);
        amqp.receive_until(kAmqpHeader);
        http.send_all("GET / HT");
        WsClient websocket(program.port(), "echo");
        websocket.await_open();
        // One answers the close, one does not.
        auto idle = program.connect(), mute = program.connect();

        auto stopped = std::async(std::launch::async, [&] { program.ServerProcess::stop(signal_number); });
        idle->await("the end", [&] { return idle->ended(); });
        CHECK(idle->closed_by_peer());
        CHECK_EQ(idle->error(), "amqp:connection:forced");
        stopped.get();
    }
}

void who_finds_no_place_is_hung_up_on() {
    constexpr size_t kPlaces = 999;
    Program program;
    const size_t descriptors = program.fd_count();
    std::vector<TcpSocket> peers;
    for (size_t i = 0; i < kPlaces; i++)
        peers.emplace_back(program.port());
    TcpSocket another(program.port());
    CHECK_EQ(another.receive_to_end(), "");
    peers.clear();
    await("their places", [&] { return program.fd_count() == descriptors; });
    program.connect()->close();
    program.stop();
}

void a_port_in_use_is_one_clear_line() {
    Program program;
    check_refuses(PROGRAM, {"--port", std::to_string(program.port())}, 1,
                  "cannot listen: Address already in use");
    program.stop();
}

void wrong_arguments_are_one_clear_line() {
    check_refuses(PROGRAM, {"--port", "70000"}, 2, "--port wants a number from 0 to 65535");
    check_refuses(PROGRAM, {"--timeout-secs", "0"}, 2, "--timeout-secs wants a number");
    check_refuses(PROGRAM, {"--threads", "many"}, 2, "--threads wants a number");
    check_refuses(PROGRAM, {"--no-such-option"}, 2, "no-such-option");
    check_refuses(PROGRAM, {"more"}, 2, "'more'");
}

void help_goes_to_stdout() {
    const ProcessResult help = run_process({PROGRAM, "--help"});
    CHECK_EQ(help.exit_status, 0);
    for (const char *option : {"--port", "--threads", "--timeout-secs", "--help"})
        CHECK(help.out.find(option) != std::string::npos);
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        E2E_TEST(each_peer_gets_what_it_speaks),
        E2E_TEST(all_are_served_at_once),
        E2E_TEST(first_bytes_may_come_one_by_one),
        E2E_TEST(what_begins_like_amqp_may_be_http),
        E2E_TEST(garbage_ends_its_connection_only),
        E2E_TEST(who_is_silent_at_first_is_closed_in_time),
        E2E_TEST(who_ends_early_leaves_nothing),
        E2E_TEST(a_request_that_ends_its_stream_is_answered),
        E2E_TEST(who_sends_has_the_credit_of_who_receives),
        E2E_TEST(who_reads_nothing_is_not_read_from),
        E2E_TEST(a_message_that_is_too_long_is_rejected),
        E2E_TEST(a_peer_that_wants_heartbeats_gets_them),
        E2E_TEST(it_stops_cleanly_with_connections_in_every_state),
        E2E_TEST(who_finds_no_place_is_hung_up_on),
        E2E_TEST(a_port_in_use_is_one_clear_line),
        E2E_TEST(wrong_arguments_are_one_clear_line),
        E2E_TEST(help_goes_to_stdout),
    };
    return cmocka_run_group_tests_name("one_port", tests, nullptr, nullptr);
}
