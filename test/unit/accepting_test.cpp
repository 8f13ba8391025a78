// accept() fails, in the real Proton: whether its listeners outlive it, and can be closed.
#include "check.hpp"
#include "lws_proton.h"
#include "proton_accept.hpp"
#include "scripted_host.hpp"
#include "tcp_socket.hpp"
#include "test_main.hpp"

#include <proton/condition.h>
#include <proton/event.h>
#include <proton/listener.h>
#include <proton/netaddr.h>
#include <proton/proactor.h>

#include <cstdio>
#include <string>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>

using namespace scripted;
using e2e::TcpSocket;

namespace {

struct Script {
    int error = 0;
    int failures = 0;  // that many calls fail with it, after
    int spared = 0;    // that many that do not
    int failed = 0;
};
Script accept_script;

// The glue's and Proton's, since the program comes first.
int scripted_accept(int listening, sockaddr *address, socklen_t *length) {
    if (accept_script.failures && accept_script.spared-- <= 0) {
        accept_script.failures--;
        accept_script.failed++;
        errno = accept_script.error;
        return -1;
    }
    return static_cast<int>(syscall(SYS_accept4, listening, address, length, 0));
}

}  // namespace

extern "C" int accept(int listening, sockaddr *address, socklen_t *length) {
    return scripted_accept(listening, address, length);
}

namespace {

// lws listens on a port of the loop's own.
class Scene {
public:
    Scene() : loop(lws_proton_loop_new(1, host.table(), &host, nullptr)) {
        CHECK(loop);
        lws_proton_loop_started(loop);
        char why[100];
        lws_proton_conn *conn =
            lws_proton_loop_listen(loop, "127.0.0.1", &port, why, sizeof(why));
        CHECK(conn);
        listener = std::make_unique<Wsi>(conn);
        listener->on_service = [this](Wsi &w, int) {
            if (lws_proton_conn *accepted = w.conn->ops->accept(w.conn))
                host.adopt(accepted);
        };
        listener->enable(LWS_PROTON_READ);
        serve();
    }
    ~Scene() { finish(); }
    Scene(const Scene &) = delete;
    Scene &operator=(const Scene &) = delete;

    // What there is to do.
    void serve() {
        for (int n = 0; n < 100; n++)
            lws_proton_loop_turn(loop, 0, 0);
    }
    void serve_until(const std::string &what, const std::function<bool()> &holds) {
        for (const e2e::Deadline deadline; !holds(); serve()) {
            if (deadline.passed())
                FAIL("waited in vain for " + what);
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        }
    }
    void fail_accept(int error, int failures, int spared = 0) {
        accept_script = {error, failures, spared, 0};
    }
    bool listening() {
        TcpSocket peer(port);
        return peer.await_connected() == 0;
    }
    // A peer is served.
    void check_service() {
        const size_t before = host.wsis.size();
        TcpSocket peer(port);
        peer.await_connected();
        serve_until("a connection", [&] { return host.wsis.size() > before; });
    }

    void finish() {
        if (!loop)
            return;
        accept_script = {};
        if (listener->conn)
            listener->close();
        for (auto &wsi : host.wsis)
            if (wsi->conn)
                wsi->close();
        serve();
        lws_proton_loop_stop(loop);
        lws_proton_loop_free(std::exchange(loop, nullptr));
    }

    Host host;
    lws_proton_loop_t *loop;
    int port = 0;
    std::unique_ptr<Wsi> listener;
};

void proton_is_given_another_accept() {
    CHECK(lws_proton::replace_protons_accept());
}

void a_listener_that_is_out_of_descriptors_listens_again_and_can_be_closed() {
    for (const auto &[error, text] :
         {std::pair{EMFILE, "the process has no descriptor left"},
          {ENFILE, "the machine has no descriptor left"}}) {
        Scene s;
        s.check_service();
        s.fail_accept(error, 1);
        TcpSocket refused(s.port);
        s.serve_until("a failure", [] { return accept_script.failed == 1; });
        s.serve();
        CHECK_EQ(s.host.log.size(), 1u);
        CHECK(s.host.log[0].find(text) != std::string::npos);
        e2e::Io how;
        refused.receive_to_end(&how);
        CHECK(how == e2e::Io::reset || how == e2e::Io::closed);
        s.serve_until("the listener", [&] { return s.listening(); });
        s.check_service();
        s.finish();
    }
    printf("security: accept() fails: no descriptor of the process, or of the machine | the "
           "listener is closed in good order and listens again after %d ms | those that wait are "
           "refused, all others are served | a port that listens again, 1 line of log\n",
           LWS_PROTON_LISTEN_AGAIN_MS);
}

void those_that_got_a_descriptor_are_served() {
    Scene s;
    s.fail_accept(EMFILE, 1, 3);
    TcpSocket peers[] = {TcpSocket(s.port), TcpSocket(s.port), TcpSocket(s.port),
                         TcpSocket(s.port), TcpSocket(s.port)};
    for (TcpSocket &peer : peers)
        CHECK_EQ(peer.await_connected(), 0);
    // The round ends with the failure; the next is for the other two.
    s.serve_until("five connections", [&] { return s.host.wsis.size() == 5; });
    CHECK_EQ(accept_script.failed, 1);
    CHECK(s.host.log.empty());
}

void a_listener_that_stays_out_of_descriptors_can_be_closed() {
    Scene s;
    s.fail_accept(EMFILE, 1000000);
    TcpSocket peer(s.port);
    s.serve_until("a failure", [] { return accept_script.failed > 0; });
    s.serve();
    s.listener->close();
    s.serve();
    CHECK(!s.listening());
}

void any_other_failure_is_a_pause_too() {
    Scene s;
    for (const int error : {ENOBUFS, ENOMEM, ECONNABORTED, EPERM}) {
        s.fail_accept(error, 1);
        TcpSocket peer(s.port);
        s.serve_until("a failure", [] { return accept_script.failed == 1; });
        s.serve_until("the listener", [&] { return s.listening(); });
        s.check_service();
    }
}

// On its proactor lws is, too.
void an_applications_listener_ends_in_good_order() {
    Host host;
    pn_proactor_t *proactor = pn_proactor();
    lws_proton_loop_t *loop = lws_proton_loop_new(1, host.table(), &host, proactor);
    lws_proton_loop_started(loop);
    pn_listener_t *listener = pn_listener();
    pn_proactor_listen(proactor, listener, "127.0.0.1:0", 16);
    char port[10];
    pn_netaddr_host_port(pn_listener_addr(listener), nullptr, 0, port, sizeof(port));
    accept_script = {EMFILE, 1, 0, 0};
    TcpSocket peer(std::stoi(port));
    peer.await_connected();
    bool closed = false;
    while (!closed) {
        pn_event_batch_t *batch = pn_proactor_wait(proactor);
        while (pn_event_t *event = pn_event_batch_next(batch))
            if (!lws_proton_handle(batch, event) && pn_event_type(event) == PN_LISTENER_CLOSE) {
                CHECK(pn_condition_is_set(pn_listener_condition(listener)));
                closed = true;
            }
        pn_proactor_done(proactor, batch);
    }
    lws_proton_loop_stop(loop);
    lws_proton_loop_free(loop);
    CHECK_EQ(lws_proton_held(proactor), 0u);
    pn_proactor_free(proactor);
}

}  // namespace

int main() {
    const CMUnitTest tests[] = {
        E2E_TEST(proton_is_given_another_accept),
        E2E_TEST(a_listener_that_is_out_of_descriptors_listens_again_and_can_be_closed),
        E2E_TEST(those_that_got_a_descriptor_are_served),
        E2E_TEST(a_listener_that_stays_out_of_descriptors_can_be_closed),
        E2E_TEST(any_other_failure_is_a_pause_too),
        E2E_TEST(an_applications_listener_ends_in_good_order),
    };
    return cmocka_run_group_tests_name("accepting", tests, nullptr, nullptr);
}
