// SPDX-License-Identifier: MIT
#pragma once

#include "application.hpp"
#include "server.hpp"

#include <utility>

namespace lws_test {

// An lws context that the application serves.
class Site {
public:
    explicit Site(Application &application, Callback callback = {}, int pts = 1,
                  lws_context_creation_info info = {})
        : callback_(std::move(callback)) {
        log_to_string();
        void *loops[] = {application.proactor()};
        info.options |= LWS_SERVER_OPTION_PROTON;
        info.foreign_loops = loops;
        info.count_threads = static_cast<unsigned>(pts);
        info.protocols = kProtocols;
        info.user = &callback_;
        context_ = lws_create_context(&info);
        if (!context_)
            FAIL("no context: " + lws_log());
        // Its first timers may run already.
        CHECK_EQ(lws_proton_loop_enter(loop(), 0), 0);
        vhost_ = lws_get_vhost_by_name(context_, "default");
        port_ = lws_get_vhost_listen_port(vhost_);
        lws_proton_loop_leave(loop());
    }
    ~Site() { destroy(); }
    Site(const Site &) = delete;
    Site &operator=(const Site &) = delete;

    void destroy() {
        if (lws_context *context = std::exchange(context_, nullptr))
            lws_context_destroy(context);
    }
    // A callback has.
    void destroyed() { context_ = nullptr; }

    lws_context *context() const { return context_; }
    lws_vhost *vhost() const { return vhost_; }
    int port() const { return port_; }
    lws_proton_loop_t *loop() const { return lws_proton_loop_of(context_); }

private:
    Callback callback_;
    lws_context *context_ = nullptr;
    lws_vhost *vhost_ = nullptr;
    int port_ = 0;
};

}  // namespace lws_test
