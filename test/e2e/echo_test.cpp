// The echo program over real sockets: kinds, order, sizes and flow control. The same test is for
// every library and loop that the program runs on.
#include "check.hpp"
#include "echo_server.hpp"
#include "memory_bounds.hpp"
#include "numbered_stream.hpp"
#include "test_main.hpp"
#include "ws_client.hpp"

#include <algorithm>
#include <ostream>

using namespace e2e;

namespace {

struct Message {
    Opcode kind;
    std::string payload;
};

std::ostream &operator<<(std::ostream &out, const Message &message) {
    return out << (message.kind == Opcode::text ? "text '" : "binary '") << message.payload << "'";
}

bool operator==(const Message &a, const Message &b) {
    return a.kind == b.kind && a.payload == b.payload;
}

// The next whole message, put together from its fragments.
Message await_message(WsClient &client) {
    WsFrame frame = client.await_frame();
    CHECK(frame.opcode == Opcode::text || frame.opcode == Opcode::binary);
    Message message{frame.opcode, std::move(frame.payload)};
    while (!frame.final) {
        frame = client.await_frame();
        CHECK(frame.opcode == Opcode::continuation);
        message.payload += frame.payload;
    }
    return message;
}

void check_echoes(WsClient &client, const std::vector<Message> &messages) {
    for (const Message &message : messages)
        client.queue_frame(message.kind, message.payload);
    for (const Message &message : messages)
        CHECK_EQ(await_message(client), message);
}

void text_and_binary_come_back_in_kind_and_order() {
    EchoServer server;
    WsClient client(server.port(), "");
    client.await_open();
    std::vector<Message> messages;
    for (int i = 0; i < 1000; ++i)
        messages.push_back({i % 3 ? Opcode::text : Opcode::binary,
                            numbered_stream::text(static_cast<uint64_t>(i), i % 300)});
    check_echoes(client, messages);
    server.stop();
}

void every_size_comes_back_whole() {
    EchoServer server;
    WsClient client(server.port(), "");
    client.await_open();
    for (const size_t size : {0, 1, 125, 126, 127, 4096, 8191, 8192, 8193, 16384, 65535, 65536})
        check_echoes(client, {{Opcode::binary, numbered_stream::text(0, size)}});
    check_echoes(client, {{Opcode::text, numbered_stream::text(7, 5 << 20)},
                          {Opcode::text, ""},
                          {Opcode::binary, ""},
                          {Opcode::text, "after the large one"}});
    server.stop();
}

void fragments_come_back_as_one_message() {
    EchoServer server;
    WsClient client(server.port(), "");
    client.await_open();
    client.queue(
        masked_frame(Opcode::text, "", false) + masked_frame(Opcode::continuation, "one ", false) +
        masked_frame(Opcode::continuation, "", false) +
        masked_frame(Opcode::continuation, std::string(20000, 't'), false) +
        masked_frame(Opcode::continuation, "", true) + masked_frame(Opcode::binary, "b", false) +
        masked_frame(Opcode::continuation, "", true) + masked_frame(Opcode::text, "", false) +
        masked_frame(Opcode::continuation, "", true));
    CHECK_EQ(await_message(client), (Message{Opcode::text, "one " + std::string(20000, 't')}));
    CHECK_EQ(await_message(client), (Message{Opcode::binary, "b"}));
    CHECK_EQ(await_message(client), (Message{Opcode::text, ""}));
    server.stop();
}

void whatever_subprotocol_is_offered_first_is_accepted() {
    EchoServer server;
    for (const char *offered : {"chat", "x.y-z_1", "first, second", "second", "chat", ""}) {
        WsClient client(server.port(), offered);
        client.await_open();
        check_echoes(client, {{Opcode::text, "hello"}});
    }
    server.stop();
}

void more_subprotocols_than_are_kept_in_mind_do_not_harm() {
    constexpr int kRemembered = 32;
    EchoServer server;
    for (int i = 0; i < kRemembered; ++i) {
        WsClient client(server.port(), "name" + std::to_string(i));
        client.await_open();
    }
    WsClient refused(server.port(), "one-too-many");
    refused.await_end();
    WsClient known(server.port(), "name0"), none(server.port(), "");
    known.await_open();
    none.await_open();
    check_echoes(known, {{Opcode::text, "hello"}});
    server.stop();
}

void many_connections_get_their_own_messages() {
    constexpr size_t kClients = 50, kMessages = 40;
    EchoServer server;
    WsClients clients;
    for (size_t i = 0; i < kClients; ++i)
        clients.push_back(
            std::make_unique<WsClient>(server.port(), "echo-" + std::to_string(i % 5)));
    drive(clients, "the handshakes", [&] {
        return std::all_of(clients.begin(), clients.end(), [](const auto &client) {
            return client->state() == WsClient::State::open;
        });
    });
    const auto text = [](size_t client, size_t message) {
        return std::to_string(client) + ":" + std::to_string(message) +
               std::string(client * message, '.');
    };
    for (size_t message = 0; message < kMessages; ++message)
        for (size_t i = 0; i < kClients; ++i)
            clients[i]->queue_frame(Opcode::text, text(i, message));
    drive(clients, "all echoes", [&] {
        return std::all_of(clients.begin(), clients.end(),
                           [](const auto &client) { return client->frames().size() >= kMessages; });
    });
    for (size_t i = 0; i < kClients; ++i)
        for (size_t message = 0; message < kMessages; ++message)
            CHECK_EQ(await_message(*clients[i]), (Message{Opcode::text, text(i, message)}));
    server.stop();
}

// One client that sends an endless stream, as messages of one size, and does not read.
class Flood {
public:
    Flood(int port, size_t message)
        : client(*clients_.emplace_back(
              std::make_unique<WsClient>(port, "", "/", SocketOptions{16 * 1024, 64 * 1024}))),
          message_(message) {
        client.await_open();
    }

    void until_quiet() {
        // Nothing has moved for so long: nothing moves.
        constexpr std::chrono::milliseconds kQuiet{300};
        // More than all windows and kernel buffers on the way hold.
        constexpr uint64_t kMost = 64 * 1024 * 1024;

        client.set_reading(false);
        for (bool moves = true; moves;) {
            while (client.unsent_here() < message_ + kAhead) {
                client.queue_frame(Opcode::text, numbered_stream::text(sent_, message_));
                sent_ += message_;
                CHECK_LE(sent_, kMost);
            }
            moves = drive_until(
                clients_, [&] { return client.unsent_here() < message_ + kAhead; },
                Deadline(kQuiet));
        }
    }

    void check_that_all_comes_back() {
        client.set_reading(true);
        NumberedStreamReader reader;
        drive(clients_, "what was sent", [&] {
            for (const WsFrame &frame : client.frames())
                reader.check_next(frame.payload);
            client.frames().clear();
            return reader.position() >= sent_;
        });
        CHECK_EQ(reader.position(), sent_);
    }

private:
    static constexpr size_t kAhead = 256 * 1024;

    WsClients clients_;

public:
    WsClient &client;

private:
    size_t message_;
    uint64_t sent_ = 0;
};

constexpr size_t kQueueKib = 64;  // of the echo program
// What lws keeps of one read while the program does not take it, and of one frame that the socket
// did not take whole.
constexpr size_t kHeldByLwsKib = 2 * 16;

void a_client_that_does_not_read_is_not_read_from(size_t message) {
    EchoServer server;
    WsClient other(server.port(), "");
    other.await_open();
    check_echoes(other, {{Opcode::text, numbered_stream::text(0, 100000)}});
    const size_t rss_before = server.rss_kib();

    Flood flood(server.port(), message);
    flood.until_quiet();
    const size_t growth = server.rss_growth_kib(rss_before);
    printf("             RSS grew by %zu KiB\n", growth);
    if (!kSanitized)
        CHECK_LE(growth, kBusyConnectionKib + kQueueKib + kHeldByLwsKib + kProcessSlackKib);
    check_echoes(other, {{Opcode::text, "others are served"}});

    flood.check_that_all_comes_back();
    server.stop();
}

void a_flood_of_small_messages_is_stopped_and_nothing_is_lost() {
    a_client_that_does_not_read_is_not_read_from(50);
}

void a_flood_of_one_large_message_after_the_other_is_stopped_and_nothing_is_lost() {
    a_client_that_does_not_read_is_not_read_from(3 << 20);
}

void it_stops_cleanly_while_it_holds_messages() {
    EchoServer server;
    Flood flood(server.port(), 10000);
    flood.until_quiet();
    WsClient half(server.port(), "");
    half.await_open();
    half.queue(masked_frame(Opcode::text, "half a mess", false));
    WsClient gone(server.port(), "");
    gone.await_open();
    gone.queue(masked_frame(Opcode::binary, std::string(100000, 'g'), false));
    gone.socket().reset();
    server.stop(SIGINT);
}

void wrong_arguments_are_one_clear_line() {
    const std::vector<std::vector<std::string>> wrong = {
        {"--port", "65536"},    {"--port", "http"},   {"--threads", "0"}, {"--tls-cert", "alone"},
        {"--tls-key", "alone"}, {"--no-such-option"}, {"--port"},         {"stray"},
    };
    for (const auto &arguments : wrong) {
        std::vector<std::string> argv = EchoServer::command_line();
        argv.insert(argv.end(), arguments.begin(), arguments.end());
        const ProcessResult result = run_process(argv);
        CHECK_EQ(result.exit_status, 2);
        CHECK_EQ(result.out, "");
        CHECK_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1);
    }
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        E2E_TEST(text_and_binary_come_back_in_kind_and_order),
        E2E_TEST(every_size_comes_back_whole),
        E2E_TEST(fragments_come_back_as_one_message),
        E2E_TEST(whatever_subprotocol_is_offered_first_is_accepted),
        E2E_TEST(more_subprotocols_than_are_kept_in_mind_do_not_harm),
        E2E_TEST(many_connections_get_their_own_messages),
        E2E_TEST(a_flood_of_small_messages_is_stopped_and_nothing_is_lost),
        E2E_TEST(a_flood_of_one_large_message_after_the_other_is_stopped_and_nothing_is_lost),
        E2E_TEST(it_stops_cleanly_while_it_holds_messages),
        E2E_TEST(wrong_arguments_are_one_clear_line),
    };
    return cmocka_run_group_tests_name("echo", tests, nullptr, nullptr);
}
