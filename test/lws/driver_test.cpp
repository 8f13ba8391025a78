// SPDX-License-Identifier: MIT
//
// Real libwebsockets over the driver transport: HTTP and WebSocket with no socket, each byte moved
// by the test.
#include "lws_log.hpp"

#include <lws_proton.h>
#include <lws_proton_conn.h>

#include <algorithm>
#include <cstring>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string>
#include <vector>

extern "C" {
#include <cmocka.h>
}

namespace {

// An echo that writes as much as it may in each WRITEABLE, and notes what lws answers about room.
struct Session {
    std::string *partial;
    std::vector<std::string> *queue;
};

int receives, writeables, flooded, closed;
lws_fileofs_t allowance_before_write, allowance_after_write;
bool choked_when_full;
bool close_in_receive;
bool flood;
bool stop_reading, insist;  // with the first message; on being called for WRITEABLE
lws *established;

int echo(lws *wsi, lws_callback_reasons reason, void *user, void *in, size_t len) {
    auto *session = static_cast<Session *>(user);
    switch (reason) {
    case LWS_CALLBACK_ESTABLISHED:
        session->partial = new std::string;
        session->queue = new std::vector<std::string>;
        established = wsi;
        break;
    case LWS_CALLBACK_RECEIVE:
        if (close_in_receive)
            return -1;
        session->partial->append(static_cast<char *>(in), len);
        if (lws_remaining_packet_payload(wsi) || !lws_is_final_fragment(wsi))
            break;
        receives++;
        if (stop_reading)
            lws_rx_flow_control(wsi, 0);
        session->queue->push_back(std::move(*session->partial));
        session->partial->clear();
        lws_callback_on_writable(wsi);
        break;
    case LWS_CALLBACK_SERVER_WRITEABLE: {
        writeables++;
        if (insist) {
            lws_callback_on_writable(wsi);
            break;
        }
        if (flood) {
            uint8_t message[LWS_PRE + 1000];
            memset(message, 'f', sizeof(message));
            do {
                lws_write(wsi, message + LWS_PRE, 1000, LWS_WRITE_TEXT);
                flooded++;
            } while (!lws_send_pipe_choked(wsi));
        }
        allowance_before_write = lws_get_peer_write_allowance(wsi);
        std::vector<uint8_t> frame;
        for (const std::string &message : *session->queue) {
            frame.assign(LWS_PRE, 0);
            frame.insert(frame.end(), message.begin(), message.end());
            if (lws_write(wsi, &frame[LWS_PRE], message.size(), LWS_WRITE_TEXT) < 0)
                return -1;
        }
        session->queue->clear();
        allowance_after_write = lws_get_peer_write_allowance(wsi);
        choked_when_full |= lws_send_pipe_choked(wsi);
        if (flood)
            lws_callback_on_writable(wsi);
        break;
    }
    case LWS_CALLBACK_CLOSED:
        closed++;
        established = nullptr;
        delete session->partial;
        delete session->queue;
        break;
    default:
        break;
    }
    return 0;
}

const lws_protocols kProtocols[] = {
    {"http", lws_callback_http_dummy, 0, 0, 0, nullptr, 0},
    {"echo", echo, sizeof(Session), 0, 0, nullptr, 0},
    LWS_PROTOCOL_LIST_TERM,
};

struct Server {
    lws_context *context = nullptr;
    lws_vhost *vhost = nullptr;
    lws_proton_loop_t *loop = nullptr;

    Server() {
        receives = writeables = flooded = closed = 0;
        allowance_before_write = allowance_after_write = -2;
        choked_when_full = close_in_receive = flood = stop_reading = insist = false;
        established = nullptr;
        log_to_string();
        lws_context_creation_info info = {};
        info.port = CONTEXT_PORT_NO_LISTEN_SERVER;
        info.options = LWS_SERVER_OPTION_PROTON | LWS_SERVER_OPTION_EXPLICIT_VHOSTS;
        info.protocols = kProtocols;
        info.timeout_secs = 60;
        context = lws_create_context(&info);
        assert_non_null(context);
        vhost = lws_create_vhost(context, &info);
        assert_non_null(vhost);
        loop = lws_proton_loop_of(context);
    }
    ~Server() { lws_context_destroy(context); }
};

// The peer's end: what it sends and has received.
struct Peer {
    lws_proton_driver_t *driver;
    int wakes = 0;
    std::string received;
    bool reading = true;

    explicit Peer(Server &server) {
        driver = lws_proton_driver_new(
            server.loop, 0, [](void *self) { static_cast<Peer *>(self)->wakes++; }, this);
        assert_non_null(driver);
        assert_non_null(lws_adopt_socket_vhost(server.vhost, lws_proton_driver_conn(driver)));
    }
    ~Peer() { lws_proton_driver_free(driver); }

    // Moves bytes until nothing moves, at most `step` at a time. Returns how many of `bytes` went
    // in.
    size_t exchange(const std::string &bytes, size_t step = SIZE_MAX) {
        size_t sent = 0;
        for (bool moved = true; moved;) {
            moved = false;
            const pn_rwbytes_t in = lws_proton_driver_read_buffer(driver);
            if (const size_t n = std::min({in.size, bytes.size() - sent, step})) {
                memcpy(in.start, bytes.data() + sent, n);
                lws_proton_driver_read_done(driver, n);
                sent += n;
                moved = true;
            }
            moved |= lws_proton_driver_service(driver);
            const pn_bytes_t out = lws_proton_driver_write_buffer(driver);
            if (const size_t n = reading ? std::min(out.size, step) : 0) {
                received.append(out.start, n);
                lws_proton_driver_write_done(driver, n);
                moved = true;
            }
        }
        return sent;
    }

    void upgrade() {
        exchange("GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                 "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                 "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: echo\r\n\r\n");
        assert_non_null(strstr(received.c_str(), " 101 "));
        assert_non_null(strstr(received.c_str(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        received.erase(0, received.find("\r\n\r\n") + 4);
    }
};

// A masked text frame; the mask is zero, so the payload is as it is.
std::string frame(const std::string &payload) {
    std::string f = "\x81";
    if (payload.size() < 126) {
        f += static_cast<char>(0x80 | payload.size());
    } else {
        f += static_cast<char>(0xfe);
        f += static_cast<char>(payload.size() >> 8);
        f += static_cast<char>(payload.size());
    }
    f.append(4, '\0');
    return f + payload;
}

// The same as a server sends it.
std::string answer(const std::string &payload) {
    std::string f = frame(payload);
    f[1] = static_cast<char>(f[1] & 0x7f);
    return f.erase(payload.size() < 126 ? 2 : 4, 4);
}

void a_request_is_answered(void **) {
    Server server;
    Peer peer(server);
    peer.exchange("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_int_equal(peer.received.rfind("HTTP/1.1 404", 0), 0);
}

void messages_are_echoed_in_order(void **) {
    Server server;
    Peer peer(server);
    peer.upgrade();
    std::string in, out;
    for (int i = 0; i < 500; i++) {
        const std::string message = "message " + std::to_string(i) + std::string(i % 300, '.');
        in += frame(message);
        out += answer(message);
    }
    assert_int_equal(peer.exchange(in), in.size());
    assert_true(peer.received == out);
    assert_int_equal(receives, 500);
}

void one_byte_at_a_time_is_the_same(void **) {
    Server server;
    Peer peer(server);
    peer.upgrade();
    std::string in, out;
    for (int i = 0; i < 20; i++) {
        in += frame(std::string(i * 10, 'x'));
        out += answer(std::string(i * 10, 'x'));
    }
    assert_int_equal(peer.exchange(in, 1), in.size());
    assert_true(peer.received == out);
}

void the_write_allowance_is_the_room_in_the_tx_window(void **) {
    Server server;
    Peer peer(server);
    peer.upgrade();
    peer.exchange(frame("hello"));
    assert_int_equal(allowance_before_write, LWS_PROTON_TX);
    assert_int_equal(allowance_after_write, LWS_PROTON_TX - answer("hello").size());
    assert_false(choked_when_full);
}

void many_small_messages_fill_the_window_before_one_write(void **) {
    Server server;
    Peer peer(server);
    peer.upgrade();
    peer.reading = false;
    std::string in, out;
    for (int i = 0; i < 100; i++) {
        in += frame("0123456789");
        out += answer("0123456789");
    }
    peer.exchange(in);
    const pn_bytes_t all = lws_proton_driver_write_buffer(peer.driver);
    assert_int_equal(all.size, out.size());
    assert_memory_equal(all.start, out.data(), out.size());
}

void a_peer_that_does_not_read_chokes_the_writer_and_loses_nothing(void **) {
    Server server;
    Peer peer(server);
    peer.upgrade();
    peer.reading = false;
    flood = true;
    lws_callback_on_writable(established);
    peer.exchange("");
    assert_true(choked_when_full);
    assert_true(allowance_after_write < LWS_PROTON_TX_CHOKED);
    const int written = writeables;
    peer.exchange("");
    assert_int_equal(writeables, written);  // no call without room
    flood = false;
    peer.reading = true;
    peer.exchange("");
    std::string out;
    for (int i = 0; i < flooded; i++)
        out += answer(std::string(1000, 'f'));
    assert_true(peer.received == out);
}

void flow_control_stops_reading_at_the_window(void **) {
    Server server;
    Peer peer(server);
    peer.upgrade();
    lws_rx_flow_control(established, 0);
    peer.exchange("");
    std::string in;
    while (in.size() < 4 * LWS_PROTON_RX)
        in += frame(std::string(100, 'q'));
    const size_t taken = peer.exchange(in);
    assert_true(taken <= LWS_PROTON_RX);
    assert_int_equal(receives, 0);
    assert_int_equal(lws_proton_driver_read_buffer(peer.driver).size, 0);

    peer.wakes = 0;
    lws_rx_flow_control(established, 1);
    assert_true(peer.wakes > 0);
    assert_int_equal(taken + peer.exchange(in.substr(taken)), in.size());
    assert_int_equal(receives, in.size() / frame(std::string(100, 'q')).size());
}

void writable_asked_for_from_outside_wakes_the_driver_once(void **) {
    Server server;
    Peer peer(server);
    peer.upgrade();
    peer.wakes = writeables = 0;
    lws_callback_on_writable(established);
    lws_callback_on_writable(established);
    assert_int_equal(peer.wakes, 1);
    assert_int_equal(writeables, 0);
    peer.exchange("");
    assert_int_equal(writeables, 1);
}

void a_close_in_the_callback_ends_the_connection(void **) {
    Server server;
    Peer peer(server);
    peer.upgrade();
    close_in_receive = true;
    peer.exchange(frame("bye"));
    assert_int_equal(closed, 1);
    assert_true(lws_proton_driver_finished(peer.driver));
    assert_true(lws_proton_driver_write_closed(peer.driver));
}

void the_end_of_the_peers_stream_closes(void **) {
    Server server;
    Peer peer(server);
    peer.upgrade();
    lws_proton_driver_read_close(peer.driver);
    peer.exchange("");
    assert_int_equal(closed, 1);
    assert_true(lws_proton_driver_finished(peer.driver));
}

void a_lost_connection_closes(void **) {
    Server server;
    Peer peer(server);
    peer.upgrade();
    lws_proton_driver_write_close(peer.driver);
    peer.exchange("");
    assert_int_equal(closed, 1);
}

// lws keeps it for a while, since there is something that its protocol has not read yet.
void a_lost_connection_is_called_for_writing_no_more(void **) {
    Server server;
    Peer peer(server);
    peer.upgrade();
    stop_reading = insist = true;
    lws_proton_driver_service(peer.driver);
    const std::string two = frame("one") + frame("two");
    const pn_rwbytes_t in = lws_proton_driver_read_buffer(peer.driver);
    memcpy(in.start, two.data(), two.size());
    lws_proton_driver_read_done(peer.driver, two.size());
    lws_proton_driver_service(peer.driver);
    assert_int_equal(receives, 1);
    writeables = 0;
    lws_proton_driver_write_close(peer.driver);
    int turns = 0;
    while (turns < 100 && lws_proton_driver_service(peer.driver))
        turns++;
    assert_true(turns < 4);
    assert_true(writeables < 4);
    assert_int_equal(closed, 0);
    stop_reading = false;
    lws_rx_flow_control(established, 1);
    peer.exchange("");
    assert_int_equal(receives, 2);
    assert_int_equal(closed, 1);
}

void a_driver_freed_first_closes(void **) {
    Server server;
    {
        Peer peer(server);
        peer.upgrade();
    }
    assert_int_equal(closed, 1);
    assert_int_equal(lws_proton_loop_stats(server.loop).connections, 0);
}

void lws_closes_first_and_the_driver_is_finished(void **) {
    auto *server = new Server;
    auto *peer = new Peer(*server);
    peer->upgrade();
    lws_set_timeout(established, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_SYNC);
    assert_int_equal(closed, 1);
    peer->exchange("");
    assert_true(lws_proton_driver_finished(peer->driver));
    delete peer;
    delete server;
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_answered),
        cmocka_unit_test(messages_are_echoed_in_order),
        cmocka_unit_test(one_byte_at_a_time_is_the_same),
        cmocka_unit_test(the_write_allowance_is_the_room_in_the_tx_window),
        cmocka_unit_test(many_small_messages_fill_the_window_before_one_write),
        cmocka_unit_test(a_peer_that_does_not_read_chokes_the_writer_and_loses_nothing),
        cmocka_unit_test(flow_control_stops_reading_at_the_window),
        cmocka_unit_test(writable_asked_for_from_outside_wakes_the_driver_once),
        cmocka_unit_test(a_close_in_the_callback_ends_the_connection),
        cmocka_unit_test(the_end_of_the_peers_stream_closes),
        cmocka_unit_test(a_lost_connection_closes),
        cmocka_unit_test(a_lost_connection_is_called_for_writing_no_more),
        cmocka_unit_test(a_driver_freed_first_closes),
        cmocka_unit_test(lws_closes_first_and_the_driver_is_finished),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
