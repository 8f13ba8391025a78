// The AMQP echo: whole messages come back, whoever else sends to their node.
#include "amqp_program.hpp"
#include "test_main.hpp"

#include <algorithm>

using namespace e2e;

namespace {

// Of amqp_echo.c.
constexpr size_t kMessageMost = 8 * 1024 * 1024;

class Program : public AmqpProgram {
public:
    Program() : AmqpProgram(PROGRAM, {}) {}

    void stop() {
        ServerProcess::stop();
        CHECK_EQ(log(), "");
    }
};

pn_delivery_t *begin(pn_link_t *sender, const std::string &bytes) {
    static uint64_t tag;
    tag++;
    pn_delivery_t *delivery =
        pn_delivery(sender, pn_dtag(reinterpret_cast<const char *>(&tag), sizeof(tag)));
    pn_link_send(sender, bytes.data(), bytes.size());
    return delivery;
}

void await_credit(AmqpClient &client, std::initializer_list<pn_link_t *> senders) {
    client.await("credit", [&] {
        return std::all_of(senders.begin(), senders.end(),
                           [](pn_link_t *sender) { return pn_link_credit(sender) > 0; });
    });
}

void two_who_send_to_a_node_do_not_mix() {
    Program program;
    auto client = program.connect();
    client->receiver("node", 10);
    pn_link_t *one = client->sender("node"), *other = client->sender("node");
    await_credit(*client, {one, other});
    const std::string first(1000 * 1000, '1'), second(200 * 1000, '2');
    const std::string head = std::string("\0\x53\x75\xb0\0\x0f\x42\x40", 8);  // of 1000000 bytes
    begin(one, head + first.substr(0, 500 * 1000));
    sync(*client);
    CHECK(client->send(other, second));
    sync(*client);
    pn_link_send(one, first.data() + 500 * 1000, 500 * 1000);
    pn_link_advance(one);
    client->await("both", [&] { return client->messages().size() == 2; });
    CHECK(client->messages()[0].body == second);
    CHECK(client->messages()[1].body == first);
    client->close();
    program.stop();
}

void an_aborted_message_does_not_come_back() {
    Program program;
    auto client = program.connect();
    client->receiver("node", 10);
    pn_link_t *sender = client->sender("node");
    await_credit(*client, {sender});
    pn_delivery_t *delivery = begin(sender, std::string(500 * 1000, '1'));
    sync(*client);
    pn_delivery_abort(delivery);
    CHECK(client->send(sender, "whole"));
    client->await("the other", [&] { return client->messages().size() == 1; });
    CHECK_EQ(client->messages()[0].body, "whole");
    sync(*client);
    CHECK_EQ(client->messages().size(), 1u);
    client->close();
    CHECK_EQ(client->error(), "");
    program.stop();
}

void a_message_that_is_too_long_is_rejected() {
    Program program;
    auto client = program.connect();
    client->receiver("node", 10);
    pn_link_t *sender = client->sender("node");
    await_credit(*client, {sender});
    CHECK_EQ(pn_link_remote_max_message_size(sender), kMessageMost);
    CHECK(client->send(sender, std::string(kMessageMost, 'l')));
    client->await("its fate", [&] { return client->rejected() == 1; });
    CHECK(client->send(sender, "short"));
    client->await("the other", [&] { return client->messages().size() == 1; });
    client->close();
    program.stop();
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        E2E_TEST(two_who_send_to_a_node_do_not_mix),
        E2E_TEST(an_aborted_message_does_not_come_back),
        E2E_TEST(a_message_that_is_too_long_is_rejected),
    };
    return cmocka_run_group_tests_name("amqp_echo", tests, nullptr, nullptr);
}
