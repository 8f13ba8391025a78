// The mirror demo and what WebSocket promises around it.
#include "check.hpp"
#include "mirror_room.hpp"
#include "server_process.hpp"
#include "test_main.hpp"
#include "waiting.hpp"
#include "ws_client.hpp"

#include <cstring>

using namespace e2e;

namespace {

const std::string kStroke = "d #000000 10 10 200 150;";

// Takes everything that waits, as one text; all of it must be whole text messages.
std::string take_text(WsClient &client)
{
    std::string text;
    for (const WsFrame &frame : client.frames()) {
        CHECK(frame.opcode == Opcode::text);
        CHECK(frame.final);
        text += frame.payload;
    }
    client.frames().clear();
    return text;
}

size_t waiting_bytes(WsClient &client)
{
    size_t bytes = 0;
    for (const WsFrame &frame : client.frames())
        bytes += frame.payload.size();
    return bytes;
}

// ASCII, and no two stretches of it alike.
std::string long_text(size_t length)
{
    std::string text;
    for (int i = 0; text.size() < length; ++i)
        text += std::to_string(i) + ' ';
    text.resize(length);
    return text;
}

// Until every client has at least so many bytes waiting.
void drive_until_bytes(MirrorRoom &room, const std::string &what, size_t bytes)
{
    room.drive(what, [&] {
        for (const auto &client : room.clients())
            if (waiting_bytes(*client) < bytes) {
                CHECK(client->state() == WsClient::State::open);
                return false;
            }
        return true;
    });
}

// Every client receives exactly `text`, in whatever pieces.
void check_all_receive(MirrorRoom &room, const std::string &text)
{
    drive_until_bytes(room, "the whole text for each client", text.size());
    for (const auto &client : room.clients())
        CHECK(take_text(*client) == text);
}

void what_one_draws_the_other_receives()
{
    ServerProcess server;
    MirrorRoom room(server);
    room.join(2);
    room[0].queue_frame(Opcode::text, kStroke);
    room.drive_until_frames(1);
    for (const auto &client : room.clients()) {
        CHECK_EQ(client->frames().size(), 1u);
        CHECK_EQ(take_text(*client), kStroke);
    }
    server.stop();
}

// A message that straddles two reads of the server is passed on in two pieces, and another sender's
// may come between them. So each sender has letters of its own, which tell the streams apart again.
char letter(size_t sender, size_t position)
{
    const bool bit = (position * position + position / 7) % 3 == 0;
    return static_cast<char>('A' + 2 * sender + bit);
}

bool is_letter_of(size_t sender, char c)
{
    return static_cast<size_t>(c - 'A') / 2 == sender;
}

void ten_clients_see_the_same_order_and_every_sender_s_own()
{
    constexpr size_t kClients = 10;
    constexpr size_t kMessages = kSanitized ? 50 : 300; // by each client
    const size_t at_once = MirrorRoom::may_use_flow_control() ? kClients * kMessages
                                                               : MirrorRoom::kUnhindered;

    ServerProcess server;
    MirrorRoom room(server);
    room.join(kClients);
    std::vector<std::string> sent(kClients);
    size_t total = 0;
    for (size_t i = 0; i < kClients * kMessages; ++i) {
        const size_t sender = i % kClients;
        std::string text(1 + i * 37 % 400, '\0');
        for (char &c : text) {
            c = letter(sender, sent[sender].size());
            sent[sender].push_back(c);
        }
        room[sender].queue_frame(Opcode::text, text);
        total += text.size();
        if ((i + 1) % at_once == 0)
            drive_until_bytes(room, "every byte so far for each client", total);
    }
    drive_until_bytes(room, "every byte for each client", total);

    const std::string order = take_text(room[0]);
    for (size_t i = 1; i < kClients; ++i)
        CHECK(take_text(room[i]) == order);
    for (size_t sender = 0; sender < kClients; ++sender) {
        std::string received;
        for (const char c : order)
            if (is_letter_of(sender, c))
                received.push_back(c);
        CHECK(received == sent[sender]);
    }
    server.stop();
}

void a_burst_of_small_messages_arrives_in_order()
{
    const size_t kMessages = MirrorRoom::may_use_flow_control() ? 5000 : MirrorRoom::kUnhindered;
    ServerProcess server;
    MirrorRoom room(server);
    room.join(3);
    std::string burst, text;
    for (size_t i = 0; i < kMessages; ++i) {
        const std::string message = std::to_string(i) + ';';
        burst += masked_frame(Opcode::text, message);
        text += message;
    }
    room[0].queue(burst);
    check_all_receive(room, text);
    server.stop();
}

void messages_of_every_length_around_the_limits_arrive()
{
    ServerProcess server;
    MirrorRoom room(server);
    room.join(2);
    const size_t lengths[] = {1,
                              125, // the frame's length field grows after these
                              126,
                              65535,
                              65536,
                              MirrorRoom::kPiece - 1,
                              MirrorRoom::kPiece,
                              MirrorRoom::kPiece + 1,
                              2 * MirrorRoom::kPiece};
    for (const size_t length : lengths) {
        const std::string text = long_text(length);
        room[0].queue_frame(Opcode::text, text);
        check_all_receive(room, text);
    }
    server.stop();
}

void a_message_of_300_kb_arrives_whole()
{
    if (!MirrorRoom::may_use_flow_control())
        return;
    const std::string text = long_text(300 * 1000);
    ServerProcess server;
    MirrorRoom room(server);
    room.join(4);
    room[0].queue_frame(Opcode::text, text);
    check_all_receive(room, text);
    server.stop();
}

void a_message_written_byte_by_byte_arrives_whole()
{
    ServerProcess server;
    MirrorRoom room(server);
    room.join(2);
    const std::string text = long_text(300);
    for (const char byte : masked_frame(Opcode::text, text)) {
        room[0].queue({&byte, 1});
        await("the byte to arrive", [&] { return room[0].socket().unsent() == 0; });
    }
    check_all_receive(room, text);
    server.stop();
}

void a_fragmented_message_arrives_whole()
{
    ServerProcess server;
    MirrorRoom room(server);
    room.join(2);
    room[0].queue(masked_frame(Opcode::text, "one ", false));
    room[0].queue(masked_frame(Opcode::continuation, "two ", false));
    room[0].queue_frame(Opcode::ping, "between the fragments");
    room[0].queue(masked_frame(Opcode::continuation, "three", true));
    room.drive("the pong and the text", [&] {
        return waiting_bytes(room[0]) >= strlen("one two three" "between the fragments") &&
               waiting_bytes(room[1]) >= strlen("one two three");
    });
    CHECK_EQ(take_text(room[1]), "one two three");
    server.stop();
}

void a_handshake_with_the_first_frame_behind_it_is_understood()
{
    ServerProcess server;
    WsClient client(server.port(), "lws-mirror-protocol");
    client.queue_frame(Opcode::text, kStroke); // goes out with the request
    client.await_open();
    CHECK_EQ(client.await_frame().payload, kStroke);
    server.stop();
}

void instances_are_separate()
{
    ServerProcess server;
    MirrorRoom one(server, "one"), other(server, "other");
    one.join(2);
    other.join(2);
    one[0].queue_frame(Opcode::text, "for one");
    one.drive_until_frames(1);
    other[0].queue_frame(Opcode::text, "for other");
    other.drive_until_frames(1);
    CHECK_EQ(take_text(one[1]), "for one");
    CHECK_EQ(take_text(other[1]), "for other");
    server.stop();
}

void an_unknown_subprotocol_is_refused()
{
    ServerProcess server;
    WsClient client(server.port(), "no-such-protocol");
    bool upgraded = true;
    try {
        client.await_open();
    } catch (const CheckFailed &) {
        upgraded = false;
    }
    CHECK(!upgraded);
    CHECK(server.running());
    server.stop();
}

void a_ping_is_answered_with_its_payload()
{
    ServerProcess server;
    WsClient client(server.port(), "lws-mirror-protocol");
    client.await_open();
    for (const std::string &payload : {std::string(), std::string("are you there?"),
                                       std::string(125, 'p')}) {
        client.queue_frame(Opcode::ping, payload);
        const WsFrame pong = client.await_frame();
        CHECK(pong.opcode == Opcode::pong);
        CHECK_EQ(pong.payload, payload);
    }
    server.stop();
}

void a_close_is_answered_and_the_connection_ends()
{
    ServerProcess server;
    MirrorRoom room(server);
    room.join(2);
    WsClient leaving(server.port(), "lws-mirror-protocol");
    leaving.await_open();
    leaving.queue_frame(Opcode::close, close_payload(1000, "bye"));
    const WsFrame answer = leaving.await_frame();
    CHECK(answer.opcode == Opcode::close);
    CHECK_EQ(answer.payload.substr(0, 2), close_payload(1000));
    leaving.await_end();

    room[0].queue_frame(Opcode::text, kStroke);
    check_all_receive(room, kStroke);
    server.stop();
}

void a_close_that_the_server_starts_completes()
{
    ServerProcess server;
    WsClient client(server.port(), "dumb-increment-protocol");
    client.await_open();
    client.queue_frame(Opcode::text, "closeme\n");
    WsFrame frame;
    do
        frame = client.await_frame();
    while (frame.opcode == Opcode::text);
    CHECK(frame.opcode == Opcode::close);
    CHECK_EQ(frame.payload, close_payload(1001, "seeya"));
    client.queue_frame(Opcode::close, frame.payload);
    client.await_end();
    CHECK(server.running());
    server.stop();
}

void the_counter_counts()
{
    ServerProcess server;
    WsClient client(server.port(), "dumb-increment-protocol");
    client.await_open();
    for (int i = 0; i < 5; ++i)
        CHECK_EQ(client.await_frame().payload, std::to_string(i));
    server.stop();
}

void a_protocol_violation_ends_its_connection_and_nothing_else()
{
    ServerProcess server;
    MirrorRoom room(server);
    room.join(2);
    // (lws takes frames that are not masked: RFC 6455 would have it close.)
    const std::string violations[] = {
        masked_frame(Opcode::reserved, "x"),
        masked_frame(Opcode::ping, "in two fragments", false),
        masked_frame(Opcode::ping, std::string(126, 'p')), // longer than a control frame may be
        masked_frame(Opcode::continuation, "of nothing"),
        masked_frame(Opcode::text, "\xff\xfe is not UTF-8"),
        masked_frame(Opcode::close, close_payload(1)), // no such code
    };
    for (const std::string &violation : violations) {
        WsClient client(server.port(), "lws-mirror-protocol", "/?mirror=violations");
        client.await_open();
        client.queue(violation);
        // Most are answered by a close frame, to which lws awaits an answer; some by the end alone.
        client.await_frame_or_end();
        if (!client.frames().empty()) {
            CHECK(client.frames().front().opcode == Opcode::close);
            client.queue_frame(Opcode::close, client.frames().front().payload);
        }
        client.await_end();
    }
    room[0].queue_frame(Opcode::text, kStroke);
    check_all_receive(room, kStroke);
    server.stop();
}

// No message is in flight here when a client comes or goes: safe with threads.
void resets_leave_the_others_undisturbed()
{
    constexpr size_t kClients = 10, kStaying = 4;
    ServerProcess server;
    MirrorRoom room(server);
    room.join(kStaying);
    const size_t descriptors = server.fd_count();
    while (room.size() < kClients)
        room.join();
    while (room.size() > kStaying) {
        WsClient &going = room[room.size() - 1];
        const size_t before = server.fd_count();
        going.socket().reset();
        room.leave(going);
        await("its descriptor to go", [&] { return server.fd_count() < before; });
        const std::string text = long_text(10 * 1000 + room.size());
        room[0].queue_frame(Opcode::text, text);
        check_all_receive(room, text);
    }
    CHECK_EQ(server.fd_count(), descriptors);
    server.stop();
}

void resets_in_mid_traffic_leave_the_others_undisturbed()
{
    if (!MirrorRoom::may_use_flow_control())
        return;
    constexpr size_t kStaying = 3, kGoing = 20;
    ServerProcess server;
    MirrorRoom room(server);
    room.join(kStaying);
    const size_t descriptors = server.fd_count();
    for (size_t round = 0; round < kGoing; ++round) {
        WsClient &going = room.join();
        const std::string text = long_text(100 * 1000 + round);
        room[0].queue_frame(Opcode::text, text);
        room.drive("the text to begin to arrive", [&] { return !going.frames().empty(); });
        going.socket().reset();
        room.leave(going);
        check_all_receive(room, text);
    }
    await("their descriptors to go", [&] { return server.fd_count() <= descriptors; });
    server.stop();
}

void a_reset_by_the_sender_leaves_the_others_undisturbed()
{
    constexpr size_t kRounds = 20;
    ServerProcess server;
    MirrorRoom room(server);
    room.join(2);
    const size_t descriptors = server.fd_count();
    for (size_t round = 0; round < kRounds; ++round) {
        // With threads, of an instance of its own.
        WsClient sender(server.port(), "lws-mirror-protocol",
                        threads_under_test() > 1 ? "/?mirror=resets" : "/");
        sender.await_open();
        // Half a frame: the announced rest never comes.
        sender.queue(masked_frame(Opcode::text, long_text(1000)).substr(0, 500));
        sender.socket().reset();
        await("its descriptor to go", [&] { return server.fd_count() <= descriptors; });
    }
    room[0].queue_frame(Opcode::text, kStroke);
    room.drive("the stroke", [&] {
        return !room[0].frames().empty() && room[0].frames().back().payload == kStroke &&
               !room[1].frames().empty() && room[1].frames().back().payload == kStroke;
    });
    server.stop();
}

} // namespace

int main()
{
    const CMUnitTest tests[] = {
        E2E_TEST(what_one_draws_the_other_receives),
        E2E_TEST(ten_clients_see_the_same_order_and_every_sender_s_own),
        E2E_TEST(a_burst_of_small_messages_arrives_in_order),
        E2E_TEST(messages_of_every_length_around_the_limits_arrive),
        E2E_TEST(a_message_of_300_kb_arrives_whole),
        E2E_TEST(a_message_written_byte_by_byte_arrives_whole),
        E2E_TEST(a_fragmented_message_arrives_whole),
        E2E_TEST(a_handshake_with_the_first_frame_behind_it_is_understood),
        E2E_TEST(instances_are_separate),
        E2E_TEST(an_unknown_subprotocol_is_refused),
        E2E_TEST(a_ping_is_answered_with_its_payload),
        E2E_TEST(a_close_is_answered_and_the_connection_ends),
        E2E_TEST(a_close_that_the_server_starts_completes),
        E2E_TEST(the_counter_counts),
        E2E_TEST(a_protocol_violation_ends_its_connection_and_nothing_else),
        E2E_TEST(resets_leave_the_others_undisturbed),
        E2E_TEST(resets_in_mid_traffic_leave_the_others_undisturbed),
        E2E_TEST(a_reset_by_the_sender_leaves_the_others_undisturbed),
    };
    return cmocka_run_group_tests_name("mirror", tests, nullptr, nullptr);
}
