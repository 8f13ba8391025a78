// SPDX-License-Identifier: MIT
//
// Connections that an application accepts itself, and gives to lws.
#include "site.hpp"

#include "ws_client.hpp"

#include <proton/listener.h>
#include <proton/netaddr.h>
#include <proton/raw_connection.h>

#include <cerrno>
#include <memory>
#include <mutex>

namespace {

using namespace lws_test;
using e2e::Opcode;
using e2e::TcpSocket;
using e2e::WsClient;

// The application's own port, whose connections go to lws once they have said `at_least` bytes.
class Door {
public:
    using Choice = std::function<lws_vhost *(const std::string &said)>;

    Door(size_t at_least, Choice choice, int threads = 2, int pts = 2)
        : at_least_(at_least), choice_(std::move(choice)),
          application_(threads, [this](auto *batch, auto *event) { on_event(batch, event); }),
          site_(application_, {}, pts, without_listening()), listener_(pn_listener()) {
        lws_context_creation_info info = {};
        info.port = CONTEXT_PORT_NO_LISTEN_SERVER;
        info.protocols = kProtocols;
        info.vhost_name = "other";
        CHECK_EQ(lws_proton_loop_enter(site_.loop(), -1), 0);
        other_ = lws_create_vhost(site_.context(), &info);
        CHECK(other_);
        lws_proton_loop_leave(site_.loop());
        pn_proactor_listen(application_.proactor(), listener_, "127.0.0.1:0", 16);
        e2e::await("the door", [&] { return port() != 0; });
    }
    ~Door() {
        pn_listener_close(listener_);
        e2e::await("the door to close", [&] { return closed_.load(); });
    }

    int port() const { return port_; }
    Application &application() { return application_; }
    Site &site() { return site_; }
    lws_vhost *vhost() { return site_.vhost(); }
    lws_vhost *other_vhost() { return other_; }

    // What went wrong: errno of each connection that could not be adopted.
    std::atomic<int> refused{0};
    std::atomic<bool> enters{true};  // as it has to
    std::atomic<int> extra_buffers{0};

private:
    static lws_context_creation_info without_listening() {
        lws_context_creation_info info = {};
        info.port = CONTEXT_PORT_NO_LISTEN_SERVER;
        return info;
    }

    void on_event(pn_event_batch_t *, pn_event_t *event) {
        pn_raw_connection_t *raw = pn_event_raw_connection(event);
        switch (pn_event_type(event)) {
        case PN_LISTENER_OPEN: {
            char port[16];
            const pn_netaddr_t *address = pn_listener_addr(pn_event_listener(event));
            pn_netaddr_host_port(address, nullptr, 0, port, sizeof(port));
            port_ = atoi(port);
            break;
        }
        case PN_LISTENER_ACCEPT:
            pn_listener_raw_accept(pn_event_listener(event), pn_raw_connection());
            break;
        case PN_LISTENER_CLOSE:
            closed_ = true;
            break;
        case PN_RAW_CONNECTION_CONNECTED: {
            char peer[64];
            pn_netaddr_str(pn_raw_connection_remote_addr(raw), peer, sizeof(peer));
            CHECK_EQ(std::string(peer).substr(0, 10), "127.0.0.1:");
            if (!at_least_ && !extra_buffers)
                adopt(raw, "");
            else
                for (int i = 0; i <= extra_buffers; i++)
                    lend(raw);
            break;
        }
        case PN_RAW_CONNECTION_READ: {
            std::unique_ptr<std::string> said(said_by(raw));
            if (!said)
                said = std::make_unique<std::string>();
            pn_raw_buffer_t buffer;
            while (pn_raw_connection_take_read_buffers(raw, &buffer, 1)) {
                said->append(buffer.bytes + buffer.offset, buffer.size);
                delete[] buffer.bytes;
            }
            if (said->size() >= at_least_) {
                pn_raw_connection_set_context(raw, nullptr);
                adopt(raw, *said);
            } else {
                pn_raw_connection_set_context(raw, said.release());
                lend(raw);
            }
            break;
        }
        case PN_RAW_CONNECTION_DISCONNECTED: {
            delete said_by(raw);
            pn_raw_buffer_t buffer;
            while (pn_raw_connection_take_read_buffers(raw, &buffer, 1))
                delete[] buffer.bytes;
            break;
        }
        default:
            break;
        }
    }

    static std::string *said_by(pn_raw_connection_t *raw) {
        return static_cast<std::string *>(pn_raw_connection_get_context(raw));
    }

    static void lend(pn_raw_connection_t *raw) {
        pn_raw_buffer_t buffer = {};
        buffer.capacity = 4096;
        buffer.bytes = new char[buffer.capacity];
        if (!pn_raw_connection_give_read_buffers(raw, &buffer, 1))
            delete[] buffer.bytes;
    }

    void adopt(pn_raw_connection_t *raw, const std::string &said) {
        lws_proton_conn *c = lws_proton_loop_adopt(site_.loop(), raw);
        if (!c) {
            refused = errno;
            pn_raw_connection_close(raw);
            return;
        }
        if (enters)
            CHECK_EQ(lws_proton_loop_enter(site_.loop(), lws_proton_conn_tsi(c)), 0);
        lws_adopt_socket_vhost_readbuf(choice_(said), c, said.data(), said.size());
        if (enters)
            lws_proton_loop_leave(site_.loop());
    }

    const size_t at_least_;
    const Choice choice_;
    std::atomic<int> port_{0};
    std::atomic<bool> closed_{false};
    Application application_;
    Site site_;
    lws_vhost *other_ = nullptr;
    pn_listener_t *const listener_;
};

void the_application_chooses_the_vhost() {
    std::atomic<int> connections{0};
    Door *the_door = nullptr;
    Door door(0, [&](const std::string &) {
        return connections++ % 2 ? the_door->other_vhost() : the_door->vhost();
    });
    the_door = &door;
    for (int i = 0; i < 4; i++) {
        TcpSocket client(door.port());
        // With a Host it would be lws that chooses, among the vhosts of the same port.
        client.send_all("GET / HTTP/1.0\r\n\r\n");
        const std::string answer = client.receive_to_end();
        CHECK_EQ(answer.substr(answer.find("\r\n\r\n") + 4), i % 2 ? "other" : "default");
    }
}

void what_was_read_already_goes_along() {
    Door *the_door = nullptr;
    Door door(4, [&](const std::string &said) {
        return said.find("other") == std::string::npos ? the_door->vhost()
                                                       : the_door->other_vhost();
    });
    the_door = &door;
    TcpSocket client(door.port()), other(door.port());
    CHECK_EQ(get(client), "default");
    CHECK_EQ(get(other, "other"), "other");
    std::vector<std::unique_ptr<WsClient>> clients;
    for (int i = 0; i < 8; i++)
        clients.push_back(std::make_unique<WsClient>(door.port(), "echo"));
    for (auto &ws : clients) {
        ws->await_open();
        ws->queue_frame(Opcode::text, "hello");
        CHECK_EQ(ws->await_frame().payload, "hello");
    }
}

// A request that is all there when lws gets the connection, and nothing comes after it.
void nothing_more_has_to_come() {
    Door *the_door = nullptr;
    Door door(4, [&](const std::string &) { return the_door->vhost(); });
    the_door = &door;
    TcpSocket client(door.port());
    ask(client);
    client.shutdown_write();
    CHECK_EQ(body(client.receive_to_end()), "default");
}

// More than lws takes at a time, and nothing comes after it.
void much_may_have_been_read_already() {
    std::string said = "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                       "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                       "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                       "Sec-WebSocket-Protocol: echo\r\n\r\n";
    std::vector<std::string> messages;
    while (said.size() < 20'000) {
        messages.push_back("message " + std::to_string(messages.size()) + std::string(100, '.'));
        said += e2e::masked_frame(Opcode::text, messages.back());
    }
    said += e2e::masked_frame(Opcode::close, e2e::close_payload(1000));
    Door *the_door = nullptr;
    Door door(said.size(), [&](const std::string &) { return the_door->vhost(); });
    the_door = &door;
    TcpSocket client(door.port());
    client.send_all(said);
    const std::string answer = client.receive_to_end();
    size_t at = 0;
    for (const std::string &message : messages) {
        at = answer.find(message, at);
        CHECK(at != std::string::npos);
    }
}

void buffers_that_proton_holds_are_not_lws_s() {
    Door *the_door = nullptr;
    Door door(1, [&](const std::string &) { return the_door->vhost(); });
    the_door = &door;
    door.extra_buffers = 1;
    TcpSocket client(door.port());
    client.send_all("GET / HTTP/1.1\r\n\r\n");
    client.receive_to_end();
    e2e::await("the refusal", [&] { return door.refused == EBUSY; });
}

void adopting_without_the_pt_is_refused() {
    Door *the_door = nullptr;
    Door door(0, [&](const std::string &) { return the_door->vhost(); });
    the_door = &door;
    door.enters = false;
    TcpSocket client(door.port());
    CHECK_EQ(client.receive_to_end(), "");
    CHECK(lws_log().find("lws_proton_loop_enter()") != std::string::npos);
    e2e::await("the connection to go",
               [&] { return lws_proton_loop_stats(door.site().loop()).connections == 0; });
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        E2E_TEST(the_application_chooses_the_vhost),
        E2E_TEST(what_was_read_already_goes_along),
        E2E_TEST(nothing_more_has_to_come),
        E2E_TEST(much_may_have_been_read_already),
        E2E_TEST(buffers_that_proton_holds_are_not_lws_s),
        E2E_TEST(adopting_without_the_pt_is_refused),
    };
    return cmocka_run_group_tests_name("adoption", tests, nullptr, nullptr);
}
