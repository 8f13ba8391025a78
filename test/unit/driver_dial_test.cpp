// The driver transport's clients: how they are dialed, and every order in which that can end.
#include "lws_proton.h"
#include "scripted_driver.hpp"

#include <deque>
#include <thread>

using namespace scripted;

namespace {

// The application: notes what it was asked for, and answers as the test says.
class Dialing {
public:
    explicit Dialing(DriverLoop &loop) : loop_(loop) {
        lws_proton_loop_set_dialer(
            loop.loop,
            [](void *self, lws_proton_driver_t *d, const char *address, uint16_t port) {
                return static_cast<Dialing *>(self)->dial(d, address, port);
            },
            this);
    }
    ~Dialing() {
        lws_proton_loop_set_dialer(loop_.loop, nullptr, nullptr);
        loop_.host.forget_the_script();
        for (lws_proton_driver_t *d : drivers)
            lws_proton_driver_free(d);
    }

    // lws makes a client and connects it; it waits for the end as lws does.
    Wsi &client(const char *address = "somewhere", uint16_t port = 80) {
        lws_proton_conn *conn = lws_proton_loop_dialed_socket(loop_.loop, 0, address);
        CHECK(conn);
        Wsi &wsi = loop_.host.adopt(conn);
        CHECK_EQ(wsi.connect("0.0.0.0", port), -EINPROGRESS);
        wsi.enable(LWS_PROTON_WRITE);
        return wsi;
    }

    // The same, and that it is enabled is no news any more.
    Wsi &quiet_client() {
        Wsi &wsi = client();
        CHECK(!lws_proton_driver_service(drivers.back()));
        CHECK(wsi.calls.empty());
        wakes = 0;
        return wsi;
    }

    void free() {
        lws_proton_driver_free(drivers.back());
        drivers.pop_back();
    }
    void turn() { lws_proton_loop_turn(loop_.loop, 0, 0); }

    std::vector<std::string> asked;
    std::function<int(lws_proton_driver_t *)> on_dial;
    std::vector<lws_proton_driver_t *> drivers;  // of those it did not refuse
    size_t wakes = 0;

private:
    int dial(lws_proton_driver_t *d, const char *address, uint16_t port) {
        asked.push_back(std::string(address) + ":" + std::to_string(port));
        lws_proton_driver_set_wake(
            d, [](void *n) { ++*static_cast<size_t *>(n); }, &wakes);
        if (on_dial)
            if (const int error = on_dial(d))
                return error;
        drivers.push_back(d);
        return 0;
    }

    DriverLoop &loop_;
};

// lws was called once, to ask for the cause, which is this.
void check_told(Wsi &wsi, int error) {
    CHECK(wsi.calls == std::vector<int>({LWS_PROTON_WRITE}));
    CHECK_EQ(wsi.connect_error(), error);
}

void the_application_is_asked_for_the_address_and_the_port(DriverLoop &loop) {
    Dialing dialing(loop);
    dialing.client("a.name", 80);
    dialing.client("::1", 65535);
    CHECK(dialing.asked == std::vector<std::string>({"a.name:80", "::1:65535"}));
    CHECK(lws_proton_loop_dials(loop.loop));
}

void without_a_dialer_nothing_is_reached(DriverLoop &loop) {
    CHECK(!lws_proton_loop_dials(loop.loop));
    lws_proton_conn *conn = lws_proton_loop_dialed_socket(loop.loop, 0, "somewhere");
    Wsi &wsi = loop.host.adopt(conn);
    CHECK_EQ(wsi.connect("0.0.0.0", 80), -EINPROGRESS);
    wsi.enable(LWS_PROTON_WRITE);
    lws_proton_loop_turn(loop.loop, 0, 0);
    check_told(wsi, ENETUNREACH);
}

void a_client_waits_until_it_is_connected(DriverLoop &loop) {
    Dialing dialing(loop);
    Wsi &wsi = dialing.client();
    lws_proton_driver_t *d = dialing.drivers[0];
    dialing.turn();
    CHECK(!lws_proton_driver_service(d));
    CHECK(wsi.calls.empty());
    CHECK_EQ(wsi.connect_error(), ETIMEDOUT);
    CHECK_EQ(lws_proton_driver_read_buffer(d).size, 0u);
    CHECK_EQ(lws_proton_driver_write_buffer(d).size, 0u);
    CHECK(!lws_proton_driver_read_closed(d));
    CHECK(!lws_proton_driver_write_closed(d));
    CHECK(!lws_proton_driver_finished(d));
    CHECK_EQ(wsi.connect("0.0.0.0", 80), -EISCONN);
}

void a_connected_client_is_told_and_exchanges_bytes(DriverLoop &loop) {
    Dialing dialing(loop);
    Wsi &wsi = dialing.quiet_client();
    lws_proton_driver_t *d = dialing.drivers[0];
    wsi.to_send = "request";
    lws_proton_driver_connected(d, 0);
    CHECK_EQ(dialing.wakes, 1u);
    lws_proton_driver_service(d);
    check_told(wsi, 0);
    const pn_bytes_t out = lws_proton_driver_write_buffer(d);
    CHECK_EQ(std::string(out.start, out.size), "request");
    lws_proton_driver_write_done(d, out.size);
    const pn_rwbytes_t in = lws_proton_driver_read_buffer(d);
    CHECK(in.size >= 6);
    memcpy(in.start, "answer", 6);
    lws_proton_driver_read_done(d, 6);
    lws_proton_driver_service(d);
    CHECK_EQ(wsi.received, "answer");
    wsi.close();
    CHECK(lws_proton_driver_finished(d));
}

void the_answer_may_come_while_the_application_is_asked(DriverLoop &loop) {
    Dialing dialing(loop);
    dialing.on_dial = [](lws_proton_driver_t *d) { return lws_proton_driver_connected(d, 0), 0; };
    Wsi &wsi = dialing.client();
    CHECK(wsi.calls.empty());
    CHECK_EQ(dialing.wakes, 1u);
    lws_proton_driver_service(dialing.drivers[0]);
    check_told(wsi, 0);

    dialing.on_dial = [](lws_proton_driver_t *d) {
        return lws_proton_driver_connected(d, EHOSTUNREACH), 0;
    };
    Wsi &failed = dialing.client();
    CHECK(failed.calls.empty());
    dialing.turn();
    check_told(failed, EHOSTUNREACH);
}

void a_refusal_is_told_after_it(DriverLoop &loop) {
    Dialing dialing(loop);
    dialing.on_dial = [](lws_proton_driver_t *) { return EACCES; };
    Wsi &wsi = dialing.client();
    CHECK(wsi.calls.empty());
    dialing.turn();
    check_told(wsi, EACCES);
    CHECK_EQ(dialing.wakes, 0u);
    wsi.close();
    CHECK_EQ(loop.stats().connections, 0u);
}

void a_failure_is_told_whatever_becomes_of_the_driver(DriverLoop &loop) {
    Dialing dialing(loop);
    for (bool freed : {false, true}) {
        Wsi &wsi = dialing.client();
        lws_proton_driver_connected(dialing.drivers.back(), ECONNREFUSED);
        if (freed)
            dialing.free();
        else
            lws_proton_driver_service(dialing.drivers.back());
        dialing.turn();
        check_told(wsi, ECONNREFUSED);
        wsi.close();
    }
    CHECK(lws_proton_driver_finished(dialing.drivers[0]));
}

void a_driver_that_goes_without_an_answer_aborts(DriverLoop &loop) {
    Dialing dialing(loop);
    for (bool freed : {false, true}) {
        Wsi &wsi = dialing.client();
        if (freed)
            dialing.free();
        else
            lws_proton_driver_write_close(dialing.drivers.back());
        dialing.turn();
        check_told(wsi, ECONNABORTED);
    }
}

void lws_may_give_up_before_the_answer(DriverLoop &loop) {
    Dialing dialing(loop);
    for (int answer : {-1, 0, ECONNREFUSED}) {
        dialing.quiet_client().close();
        lws_proton_driver_t *d = dialing.drivers.back();
        CHECK_EQ(dialing.wakes, 1u);
        CHECK(lws_proton_driver_finished(d));
        CHECK(lws_proton_driver_read_closed(d));
        CHECK(lws_proton_driver_write_closed(d));
        if (answer >= 0)
            lws_proton_driver_connected(d, answer);
        CHECK(lws_proton_driver_finished(d));
        CHECK(!lws_proton_driver_service(d));
        dialing.free();
        CHECK_EQ(loop.stats().connections, 0u);
    }
}

void lws_may_give_up_while_it_is_told(DriverLoop &loop) {
    Dialing dialing(loop);
    for (int answer : {0, ECONNREFUSED}) {
        Wsi &wsi = dialing.client();
        wsi.on_service = [](Wsi &w, int) { w.close(); };
        lws_proton_driver_connected(dialing.drivers.back(), answer);
        lws_proton_driver_service(dialing.drivers.back());
        dialing.turn();
        CHECK_EQ(wsi.calls.size(), 1u);
        CHECK(lws_proton_driver_finished(dialing.drivers.back()));
        dialing.free();
        CHECK_EQ(loop.stats().connections, 0u);
    }
}

void a_client_that_is_never_connected_by_lws_is_nobody_s(DriverLoop &loop) {
    Dialing dialing(loop);
    lws_proton_conn *conn = lws_proton_loop_dialed_socket(loop.loop, 0, "somewhere");
    loop.host.adopt(conn).close();
    dialing.turn();
    CHECK(dialing.asked.empty());
    CHECK_EQ(loop.stats().connections, 0u);
}

void only_the_first_answer_counts(DriverLoop &loop) {
    Dialing dialing(loop);
    Wsi &wsi = dialing.client();
    lws_proton_driver_t *d = dialing.drivers[0];
    lws_proton_driver_connected(d, 0);
    lws_proton_driver_connected(d, ECONNREFUSED);
    lws_proton_driver_service(d);
    check_told(wsi, 0);

    Wsi &failed = dialing.client();
    d = dialing.drivers[1];
    lws_proton_driver_connected(d, ECONNREFUSED);
    lws_proton_driver_connected(d, 0);
    lws_proton_driver_write_close(d);
    dialing.turn();
    check_told(failed, ECONNREFUSED);

    Driver server(loop);
    lws_proton_driver_connected(server.get(), ECONNREFUSED);
    server.service();
    CHECK(server.wsi().calls.empty());
}

void what_a_client_and_its_peer_ended_is_as_with_a_server(DriverLoop &loop) {
    Dialing dialing(loop);
    Wsi &wsi = dialing.quiet_client();
    lws_proton_driver_t *d = dialing.drivers[0];
    lws_proton_driver_connected(d, 0);
    wsi.to_send = "goodbye";
    lws_proton_driver_service(d);
    lws_proton_driver_read_close(d);
    lws_proton_driver_service(d);
    CHECK(wsi.ended);
    CHECK(!wsi.conn);
    CHECK(!lws_proton_driver_finished(d));  // the goodbye is unsent
    CHECK_EQ(loop.stats().lingering, 1u);
    lws_proton_driver_write_done(d, lws_proton_driver_write_buffer(d).size);
    CHECK(lws_proton_driver_finished(d));
}

void a_wake_that_comes_before_its_function_is_made_up_for(DriverLoop &loop) {
    Dialing dialing(loop);
    Wsi &wsi = dialing.quiet_client();
    lws_proton_driver_t *d = dialing.drivers[0];
    lws_proton_driver_set_wake(d, nullptr, nullptr);
    lws_proton_driver_connected(d, 0);
    CHECK_EQ(dialing.wakes, 0u);
    lws_proton_driver_set_wake(
        d, [](void *n) { ++*static_cast<size_t *>(n); }, &dialing.wakes);
    CHECK_EQ(dialing.wakes, 1u);
    lws_proton_driver_service(d);
    check_told(wsi, 0);
    lws_proton_driver_set_wake(
        d, [](void *n) { ++*static_cast<size_t *>(n); }, &dialing.wakes);
    CHECK_EQ(dialing.wakes, 1u);
}

void clients_may_be_dialed_while_another_is(DriverLoop &loop) {
    Dialing dialing(loop);
    Wsi *inner = nullptr;
    dialing.on_dial = [&](lws_proton_driver_t *d) {
        dialing.on_dial = nullptr;
        inner = &dialing.client("inner");
        // Nothing counts before it has returned, also now.
        lws_proton_driver_connected(d, 0);
        return EACCES;
    };
    Wsi &outer = dialing.client("outer");
    CHECK(dialing.asked == std::vector<std::string>({"outer:80", "inner:80"}));
    dialing.turn();
    check_told(outer, EACCES);
    CHECK_EQ(inner->connect_error(), ETIMEDOUT);
}

void the_answer_may_come_from_another_thread(DriverLoop &loop) {
    Dialing dialing(loop);
    Wsi &wsi = dialing.quiet_client();
    std::thread([&] { lws_proton_driver_connected(dialing.drivers[0], 0); }).join();
    CHECK_EQ(dialing.wakes, 1u);
    lws_proton_driver_service(dialing.drivers[0]);
    check_told(wsi, 0);
}

void a_client_has_no_local_address(DriverLoop &loop) {
    Dialing dialing(loop);
    Wsi &wsi = dialing.client();
    sockaddr_storage address;
    memset(&address, 0xff, sizeof(address));
    socklen_t len = sizeof(address);
    CHECK_EQ(wsi.conn->ops->local_name(wsi.conn, reinterpret_cast<sockaddr *>(&address), &len), 0);
    CHECK_EQ(len, sizeof(sa_family_t));
    CHECK_EQ(address.ss_family, AF_UNSPEC);
    CHECK_EQ(wsi.conn->ops->peer_name(wsi.conn, reinterpret_cast<sockaddr *>(&address), &len), -1);
    CHECK_EQ(errno, ENOTCONN);
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        DRIVER_TEST(the_application_is_asked_for_the_address_and_the_port),
        DRIVER_TEST(without_a_dialer_nothing_is_reached),
        DRIVER_TEST(a_client_waits_until_it_is_connected),
        DRIVER_TEST(a_connected_client_is_told_and_exchanges_bytes),
        DRIVER_TEST(the_answer_may_come_while_the_application_is_asked),
        DRIVER_TEST(a_refusal_is_told_after_it),
        DRIVER_TEST(a_failure_is_told_whatever_becomes_of_the_driver),
        DRIVER_TEST(a_driver_that_goes_without_an_answer_aborts),
        DRIVER_TEST(lws_may_give_up_before_the_answer),
        DRIVER_TEST(lws_may_give_up_while_it_is_told),
        DRIVER_TEST(a_client_that_is_never_connected_by_lws_is_nobody_s),
        DRIVER_TEST(only_the_first_answer_counts),
        DRIVER_TEST(what_a_client_and_its_peer_ended_is_as_with_a_server),
        DRIVER_TEST(a_wake_that_comes_before_its_function_is_made_up_for),
        DRIVER_TEST(clients_may_be_dialed_while_another_is),
        DRIVER_TEST(the_answer_may_come_from_another_thread),
        DRIVER_TEST(a_client_has_no_local_address),
    };
    return cmocka_run_group_tests_name("driver_dial", tests, nullptr, nullptr);
}
