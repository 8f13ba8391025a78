// The example with queues of AMQP messages and the mirror demo on one proactor: what its queues
// promise, that each serves beside the other, and how it stops.
#include "amqp_client.hpp"
#include "amqp_program.hpp"
#include "check.hpp"
#include "http_client.hpp"
#include "mirror_room.hpp"
#include "server_process.hpp"
#include "test_main.hpp"
#include "ws_client.hpp"

#include <algorithm>
#include <atomic>
#include <future>
#include <map>
#include <memory>
#include <set>

using namespace e2e;

namespace {

// Of queues.h. A message counts for a bit more than its bytes.
constexpr size_t kMessageMost = 64 * 1024;
constexpr size_t kQueueMost = 1024 * 1024;

constexpr int kUnlimited = 1000 * 1000;

class Program : public AmqpProgram {
public:
    Program() : AmqpProgram(PROGRAM, {"--http-port", "0"}) {}
};

// A peer that has gone is not waited for.
template <typename... Clients> void stop(Program &program, Clients &...clients) {
    (clients.reset(), ...);
    program.stop();
}

void stop(Program &program, AmqpClients &clients) {
    clients.clear();
    program.stop();
}

// Draws in the mirror, all the while, in a thread of its own; each stroke is to reach everyone.
class Drawing {
public:
    explicit Drawing(const ServerProcess &server) : room_(server) {
        room_.join(3);
        drawn_ = std::async(std::launch::async, [this] { return draw(); });
    }
    ~Drawing() { stop_ = true; }

    size_t end() {
        stop_ = true;
        return drawn_.get();
    }

private:
    size_t draw() {
        size_t strokes = 0;
        while (!stop_ || !strokes) {
            const std::string stroke = "d #000000 10 10 20 " + std::to_string(strokes) + ";";
            room_[strokes++ % room_.size()].queue_frame(Opcode::text, stroke);
            room_.drive_until_frames(1);
            for (auto &client : room_.clients()) {
                CHECK_EQ(client->frames().front().payload, stroke);
                client->frames().clear();
            }
        }
        return strokes;
    }

    MirrorRoom room_;
    std::atomic<bool> stop_{false};
    std::future<size_t> drawn_;
};

std::string numbered(size_t sender, size_t number) {
    // Some of them take several frames.
    const size_t padding = number % 50 == 49 ? 40000 : number % 100;
    return std::to_string(sender) + ":" + std::to_string(number) + ":" + std::string(padding, '.');
}

// Whether all went out.
bool send_numbered(AmqpClient &client, pn_link_t *link, size_t sender, size_t *next, size_t end) {
    while (*next < end && client.send(link, numbered(sender, *next)))
        ++*next;
    return *next == end;
}

// Several senders and receivers at one queue: what a receiver gets of each sender is in order.
void each_message_arrives_once_and_in_order(size_t receivers) {
    constexpr size_t kSenders = 3, kMessages = kSanitized ? 500 : 5000;
    Program program;
    Drawing drawing(program);
    AmqpClients clients;
    std::vector<pn_link_t *> links;
    for (size_t i = 0; i < receivers; i++) {
        clients.push_back(program.connect());
        clients[i]->receiver("q", 20);
    }
    for (size_t i = 0; i < kSenders; i++) {
        clients.push_back(program.connect());
        links.push_back(clients.back()->sender("q"));
    }
    std::vector<size_t> next(kSenders);
    std::vector<std::vector<bool>> arrived(kSenders, std::vector<bool>(kMessages));
    std::map<std::pair<size_t, size_t>, size_t> least;  // by receiver and sender
    size_t count = 0;
    drive(clients, "each message to arrive", [&] {
        for (size_t i = 0; i < kSenders; i++)
            send_numbered(*clients[receivers + i], links[i], i, &next[i], kMessages);
        for (size_t r = 0; r < receivers; r++) {
            for (const AmqpMessage &message : clients[r]->messages()) {
                size_t sender = 0, number = 0;
                CHECK_EQ(sscanf(message.body.c_str(), "%zu:%zu:", &sender, &number), 2);
                CHECK_EQ(message.body, numbered(sender, number));
                CHECK(!arrived[sender][number]);
                arrived[sender][number] = true;
                size_t &at_least = least[std::make_pair(r, sender)];
                CHECK_GE(number, at_least);
                at_least = number + 1;
                count++;
            }
            clients[r]->messages().clear();
        }
        return count == kSenders * kMessages;
    });
    drive(clients, "each message to be accepted", [&] {
        return std::all_of(clients.begin() + static_cast<long>(receivers), clients.end(),
                           [](auto &c) { return c->accepted() == kMessages; });
    });
    CHECK_GE(drawing.end(), 1u);
    stop(program, clients);
}

void messages_arrive_once_and_in_order_while_others_draw() {
    each_message_arrives_once_and_in_order(1);
}

void several_receivers_share_a_queue() {
    each_message_arrives_once_and_in_order(3);
}

void queues_are_separate() {
    Program program;
    auto client = program.connect();
    pn_link_t *links[] = {client->sender("a"), client->sender("b")};
    client->await("both to be sent", [&] {
        return client->accepted() || (pn_link_credit(links[0]) && pn_link_credit(links[1]) &&
                                      client->send(links[0], "for a") &&
                                      client->send(links[1], "for b"));
    });
    client->receiver("b", 10);
    client->await("b's", [&] { return !client->messages().empty(); });
    client->receiver("a", 10);
    client->await("a's", [&] { return client->messages().size() > 1; });
    CHECK_EQ(client->messages()[0].body, "for b");
    CHECK_EQ(client->messages()[1].body, "for a");
    client->close();
    program.stop();
}

// Sends "N:..." of this size for as long as there is credit, and what was sent is taken.
void fill(AmqpClient &client, pn_link_t *link, size_t size, std::vector<std::string> *sent) {
    sync(client);
    const size_t at_first = client.accepted();
    size_t before;
    do {
        before = client.accepted();
        while (pn_link_credit(link) > 0) {
            std::string body = std::to_string(sent->size()) + ":";
            body.resize(size, '.');
            CHECK(client.send(link, body));
            sent->push_back(std::move(body));
        }
        sync(client);
    } while (pn_link_credit(link) > 0 || client.accepted() != before);
    const size_t queued = client.accepted() - at_first;
    CHECK_LE(queued * size, kQueueMost);
    CHECK_GE(queued * size, kQueueMost / 2);
}

void check_all_arrive(const AmqpClients &clients, AmqpClient &receiver,
                      const std::vector<std::string> &sent) {
    drive(clients, "what was sent", [&] { return receiver.messages().size() >= sent.size(); });
    CHECK_EQ(receiver.messages().size(), sent.size());
    for (size_t i = 0; i < sent.size(); i++)
        CHECK_EQ(receiver.messages()[i].body, sent[i]);
}

// On a connection of its own.
void pass_one_through(const Program &program) {
    auto client = program.connect();
    pn_link_t *link = client->sender("other");
    client->receiver("other", 1);
    client->await("credit", [&] { return client->send(link, "x"); });
    client->await("the message", [&] { return !client->messages().empty(); });
    client->close();
}

void a_full_queue_gives_no_credit_until_there_is_room() {
    for (const size_t size : {100ul, 3000ul, kMessageMost - 100}) {
        Program program;
        AmqpClients clients;
        for (int i = 0; i < 2; i++)
            clients.push_back(program.connect());
        AmqpClient &sender = *clients[0], &receiver = *clients[1];
        pn_link_t *link = sender.sender("q");
        std::vector<std::string> sent;
        fill(sender, link, size, &sent);

        receiver.receiver("q", 10);
        check_all_arrive(clients, receiver, sent);
        drive(clients, "credit", [&] { return sender.send(link, "more"); });
        drive(clients, "more", [&] { return receiver.messages().size() > sent.size(); });
        CHECK_EQ(receiver.messages().back().body, "more");
        drive(clients, "all to be accepted",
              [&] { return sender.accepted() == sent.size() + 1; });
        stop(program, clients);
    }
}

// The window of a session is for all its links: what was sent by one, and could not be queued, does
// not stay in it for ever.
void the_end_of_a_link_leaves_its_session_to_others() {
    constexpr size_t kFrame = 16 * 1024, kWindow = 2 * kMessageMost / kFrame;
    Program program;
    auto client = program.connect(), other = program.connect();
    pn_link_t *link = client->sender("q");
    sync(*client);
    CHECK_GE(pn_link_credit(link), static_cast<int>(kWindow));
    std::vector<std::string> sent;
    fill(*other, other->sender("q"), kMessageMost - 100, &sent);
    for (size_t i = 0; i < kWindow; i++)
        CHECK(client->send(link, std::string(kFrame - 100, '.')));
    sync(*client);
    CHECK_EQ(client->accepted(), 0u);
    client->detach(link);
    sent.clear();
    fill(*client, client->sender("another"), 50000, &sent);
    stop(program, client, other);
}

// What a receiver has and has not settled is the queue's still.
void a_receiver_that_stops_stops_its_senders() {
    Program program;
    AmqpClients clients;
    for (const SocketOptions options : {SocketOptions{}, SocketOptions{16 * 1024, 0}})
        clients.push_back(program.connect(options));
    AmqpClient &sender = *clients[0], &receiver = *clients[1];
    pn_link_t *link = sender.sender("q"), *from = receiver.receiver("q", kUnlimited);
    receiver.await("the link", [&] { return AmqpClient::attached(from); });
    sender.await("credit", [&] { return sender.send(link, "first"); });
    receiver.await("the first", [&] { return !receiver.messages().empty(); });
    receiver.messages().clear();

    receiver.set_reading(false);
    std::vector<std::string> sent;
    fill(sender, link, 10000, &sent);
    {
        Drawing drawing(program);
        pass_one_through(program);
        CHECK_GE(drawing.end(), 1u);
    }
    receiver.set_reading(true);
    check_all_arrive(clients, receiver, sent);
    drive(clients, "credit", [&] { return pn_link_credit(link) > 0; });
    stop(program, clients);
}

void what_a_receiver_leaves_unsettled_comes_back_in_its_order() {
    Program program;
    AmqpClients clients;
    for (int i = 0; i < 3; i++)
        clients.push_back(program.connect());
    AmqpClient &sender = *clients[0], &first = *clients[1], &second = *clients[2];
    pn_link_t *link = sender.sender("q");
    size_t next = 0;
    constexpr size_t kMessages = 50;
    sender.await("all to be queued", [&] {
        send_numbered(sender, link, 0, &next, kMessages);
        return sender.accepted() == kMessages;
    });

    first.set_accepting(false);
    pn_link_t *from = first.receiver("q", 10);
    first.await("ten or more", [&] { return first.messages().size() >= 10; });
    first.settle(first.messages()[1], PN_ACCEPTED);
    first.settle(first.messages()[3], PN_REJECTED);
    first.messages().clear();
    first.detach(from);

    second.receiver("q", 100);
    second.await("what is left", [&] { return second.messages().size() >= kMessages - 2; });
    size_t at = 0;
    for (size_t number = 0; number < kMessages; number++)
        if (number != 1 && number != 3)
            CHECK_EQ(second.messages()[at++].body, numbered(0, number));
    stop(program, clients);
}

void a_connection_that_is_lost_gives_back_what_it_had() {
    Program program;
    auto sender = program.connect(), lost = program.connect(), receiver = program.connect();
    pn_link_t *link = sender->sender("q");
    sender->await("credit", [&] { return sender->send(link, "it"); });
    lost->set_accepting(false);
    lost->receiver("q", 1);
    lost->await("it", [&] { return !lost->messages().empty(); });
    receiver->receiver("q", 1);
    lost->socket().reset();
    receiver->await("it", [&] { return !receiver->messages().empty(); });
    CHECK_EQ(receiver->messages().front().body, "it");
    stop(program, sender, lost, receiver);
}

void what_is_released_comes_again() {
    Program program;
    auto client = program.connect();
    pn_link_t *link = client->sender("q");
    client->await("credit", [&] { return client->send(link, "it"); });
    client->set_accepting(false);
    client->receiver("q", 1);
    for (const uint64_t outcome : {PN_RELEASED, PN_MODIFIED, PN_ACCEPTED}) {
        client->await("it", [&] { return !client->messages().empty(); });
        CHECK_EQ(client->messages().front().body, "it");
        client->settle(client->messages().front(), outcome);
        client->messages().clear();
    }
    client->await("it to be accepted", [&] { return client->accepted() == 1; });
    client->close();
    CHECK(client->messages().empty());
    program.stop();
}

void a_message_that_is_too_long_is_rejected() {
    Program program;
    auto client = program.connect();
    client->receiver("q", 10);
    pn_link_t *link = client->sender("q");
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

void a_link_without_a_name_is_refused() {
    Program program;
    auto client = program.connect();
    pn_link_t *link = client->sender("");
    client->await("the refusal", [&] { return AmqpClient::error(link) != ""; });
    CHECK_EQ(AmqpClient::error(link), "amqp:invalid-field");
    client->close();
    program.stop();
}

// Messages go about while their connections come and go in every way.
void connections_come_and_go() {
    constexpr size_t kRounds = 3 * (kSanitized ? 20 : 100) + 1;
    Program program;
    Drawing drawing(program);
    auto staying = program.connect();
    const size_t descriptors = program.fd_count();
    pn_link_t *link = staying->sender("q");
    size_t sent = 0, received = 0;
    for (size_t round = 0; round < kRounds; round++) {
        auto going = program.connect();
        // Who is lost takes no message along.
        const bool is_lost = round % 3 == 2;
        going->set_accepting(!is_lost);
        pn_link_t *from = going->receiver("q", 5);
        staying->await("credit", [&] { return staying->send(link, std::to_string(sent)); });
        sent++;
        staying->await("the queue to have it", [&] { return staying->accepted() == sent; });
        going->await("what is queued", [&] { return going->messages().size() == sent - received; });
        // What the last one had may come late.
        std::set<size_t> numbers;
        for (const AmqpMessage &message : going->messages())
            numbers.insert(std::stoul(message.body));
        CHECK_EQ(numbers.size(), sent - received);
        CHECK_EQ(*numbers.begin(), received);
        if (is_lost) {
            going->socket().reset();
            continue;
        }
        received = sent;
        if (round % 3 == 0)
            going->detach(from);
        going->close();
    }
    CHECK_EQ(received, sent);
    await("the descriptors to go", [&] { return program.fd_count() == descriptors; });
    CHECK_GE(drawing.end(), 1u);
    stop(program, staying);
}

void what_is_no_amqp_ends_its_connection_only() {
    Program program;
    for (const std::string &garbage : {std::string("GET / HTTP/1.1\r\n\r\n"), std::string(100, '\0'),
                                      std::string("AMQP\0\1\0\0\xff\xff\xff\xff garbage", 20)}) {
        TcpSocket socket(program.amqp_port());
        socket.send_all(garbage);
        socket.receive_to_end();
    }
    pass_one_through(program);
    program.stop();
}

void the_page_is_served() {
    Program program;
    HttpClient client(program.port());
    client.get("/");
    const HttpResponse response = client.read_response();
    CHECK_EQ(response.status, 200);
    CHECK(response.body.find("lws-mirror-protocol") != std::string::npos);
    program.stop();
}

void it_stops_cleanly_with_connections_in_every_state() {
    for (const int signal_number : {SIGTERM, SIGINT}) {
        Program program;
        const TcpSocket silent(program.amqp_port()), silent_http(program.port());
        TcpSocket half(program.amqp_port());
        half.send_all("AMQ");
        WsClient mirror(program.port(), "lws-mirror-protocol");
        mirror.await_open();
        auto idle = program.connect(), sender = program.connect(), receiver = program.connect();
        pn_link_t *link = sender->sender("q");
        std::vector<std::string> sent;
        fill(*sender, link, 50000, &sent);
        // This one takes them and settles none; it will not answer the close either.
        receiver->set_accepting(false);
        receiver->receiver("q", kUnlimited);
        receiver->await("messages", [&] { return !receiver->messages().empty(); });

        auto stopped = std::async(std::launch::async, [&] { program.stop(signal_number); });
        idle->await("the end", [&] { return idle->ended(); });
        CHECK(idle->closed_by_peer());
        CHECK_EQ(idle->error(), "amqp:connection:forced");
        stopped.get();
    }
}

void who_finds_no_place_is_hung_up_on() {
    constexpr size_t kPlaces = 1000;
    Program program;
    const size_t descriptors = program.fd_count();
    std::vector<TcpSocket> peers;
    for (size_t i = 0; i <= kPlaces; i++)
        peers.emplace_back(program.amqp_port());
    // Which one is its threads' affair.
    await("one to be hung up on", [&] {
        return std::any_of(peers.begin(), peers.end(), [](TcpSocket &peer) {
            char byte;
            const Io state = peer.receive_some(&byte, 1).state;
            CHECK(state != Io::ok);
            return state != Io::would_block;
        });
    });
    peers.clear();
    await("their places", [&] { return program.fd_count() == descriptors; });
    program.connect()->close();
    program.stop();
}

void a_port_in_use_is_one_clear_line() {
    Program program;
    check_refuses(PROGRAM, {"--port", std::to_string(program.amqp_port()), "--http-port", "0"}, 1,
                  "cannot listen: Address already in use");
    const std::string http = std::to_string(program.port());
    check_refuses(PROGRAM, {"--port", "0", "--http-port", http}, 1, http);
    program.stop();
}

void wrong_arguments_are_one_clear_line() {
    check_refuses(PROGRAM, {"--port", "70000"}, 2, "--port wants a number from 0 to 65535");
    check_refuses(PROGRAM, {"--http-port", "http"}, 2, "--http-port wants a number");
    check_refuses(PROGRAM, {"--threads", "0"}, 2, "--threads wants a number");
    check_refuses(PROGRAM, {"--no-such-option"}, 2, "no-such-option");
    check_refuses(PROGRAM, {"more"}, 2, "'more'");
    check_refuses(PROGRAM, {"--port", "7000", "--http-port", "7000"}, 2, "a port each");
    for (const char *name : {"example.org:80", "http://example.org", ""})
        check_refuses(PROGRAM, {"--host", name}, 2, "without a port");
}

void help_goes_to_stdout() {
    const ProcessResult help = run_process({PROGRAM, "--help"});
    CHECK_EQ(help.exit_status, 0);
    for (const char *option : {"--port", "--http-port", "--threads", "--help"})
        CHECK(help.out.find(option) != std::string::npos);
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        E2E_TEST(messages_arrive_once_and_in_order_while_others_draw),
        E2E_TEST(several_receivers_share_a_queue),
        E2E_TEST(queues_are_separate),
        E2E_TEST(a_full_queue_gives_no_credit_until_there_is_room),
        E2E_TEST(the_end_of_a_link_leaves_its_session_to_others),
        E2E_TEST(a_receiver_that_stops_stops_its_senders),
        E2E_TEST(what_a_receiver_leaves_unsettled_comes_back_in_its_order),
        E2E_TEST(a_connection_that_is_lost_gives_back_what_it_had),
        E2E_TEST(what_is_released_comes_again),
        E2E_TEST(a_message_that_is_too_long_is_rejected),
        E2E_TEST(a_link_without_a_name_is_refused),
        E2E_TEST(connections_come_and_go),
        E2E_TEST(what_is_no_amqp_ends_its_connection_only),
        E2E_TEST(the_page_is_served),
        E2E_TEST(it_stops_cleanly_with_connections_in_every_state),
        E2E_TEST(who_finds_no_place_is_hung_up_on),
        E2E_TEST(a_port_in_use_is_one_clear_line),
        E2E_TEST(wrong_arguments_are_one_clear_line),
        E2E_TEST(help_goes_to_stdout),
    };
    return cmocka_run_group_tests_name("amqp_and_mirror", tests, nullptr, nullptr);
}
