// A million messages through the echo program, whatever the number of its service threads: each
// connection gets its own, all of them, once and in their order.
#include "check.hpp"
#include "echo_server.hpp"
#include "test_main.hpp"
#include "ws_client.hpp"

#include <algorithm>
#include <cstdio>

using namespace e2e;

namespace {

constexpr unsigned kConnections = 16;
constexpr unsigned kMessages = (kSanitized ? 64 * 1000 : 1000 * 1000) / kConnections;
// So many of a connection are under way at a time.
constexpr unsigned kWindow = 500;
// Of all together, on a machine that has much else to do.
constexpr std::chrono::seconds kMostTime{240};

class Sequence {
public:
    Sequence(WsClient &client, unsigned connection) : client_(client), connection_(connection) {}

    // True: all have come back.
    bool advance() {
        for (const WsFrame &frame : client_.frames()) {
            // Large ones may come in several frames.
            payload_ += frame.payload;
            if (!frame.final)
                continue;
            CHECK_EQ(payload_, message(received_));
            payload_.clear();
            received_++;
        }
        client_.frames().clear();
        std::string batch;
        while (sent_ < kMessages && sent_ - received_ < kWindow)
            batch += masked_frame(Opcode::text, message(sent_++));
        if (!batch.empty())
            client_.queue(batch);
        return received_ == kMessages;
    }

private:
    std::string message(unsigned number) const {
        // A few are larger than a window, many go into one read.
        const size_t padding = number % 5000 == 4999 ? 70000 : number % 7;
        return std::to_string(connection_) + ":" + std::to_string(number) +
               std::string(padding, '.');
    }

    WsClient &client_;
    const unsigned connection_;
    std::string payload_;
    unsigned sent_ = 0, received_ = 0;
};

void each_connection_gets_its_messages_in_order() {
    EchoServer server;
    WsClients clients;
    std::vector<Sequence> sequences;
    for (unsigned i = 0; i < kConnections; ++i) {
        clients.push_back(std::make_unique<WsClient>(server.port(), ""));
        clients.back()->await_open();
        sequences.emplace_back(*clients.back(), i);
    }
    const auto all_have_come = [&] {
        size_t complete = 0;
        for (Sequence &sequence : sequences)
            complete += sequence.advance();
        return complete == kConnections;
    };
    CHECK(drive_until(clients, all_have_come, Deadline(kMostTime)));
    printf("             %u connections, %u messages each\n", kConnections, kMessages);
    // Nothing comes twice: the close is the next that is answered.
    for (const auto &client : clients) {
        client->queue_frame(Opcode::close, close_payload(1000));
        CHECK(client->await_frame().opcode == Opcode::close);
        client->await_end();
        CHECK(client->frames().empty());
    }
    server.stop();
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {E2E_TEST(each_connection_gets_its_messages_in_order)};
    return cmocka_run_group_tests_name("order", tests, nullptr, nullptr);
}
