// SPDX-License-Identifier: MIT
#include "network.hpp"

#include <proton/connection.h>
#include <proton/event.h>
#include <proton/sasl.h>
#include <proton/transport.h>

#include <cstdlib>
#include <stdexcept>
#include <string>

namespace amqp_load {

namespace {

bool begins_with(const std::string &text, const std::string &start) {
    return text.compare(0, start.size(), start) == 0;
}

const std::string kTcp = "amqp://";

}  // namespace

Network::Network(const Options &options, std::function<void(pn_event_t *)> handle)
    : options_(options), handle_(std::move(handle)),
      proactor_(pn_proactor()), protocols_{LWS_PROTON_AMQP_PROTOCOL("amqp", &amqp_), LWS_PROTOCOL_LIST_TERM} {
    amqp_.handle = [](void *self, pn_event_t *event) {
        static_cast<Network *>(self)->handle_(event);
    };
    amqp_.context = this;
    // As Proton's own connections, which it is measured beside, have none.
    amqp_.idle_ms = LWS_PROTON_AMQP_NEVER;
    // lws would go to the broker through it.
    unsetenv("http_proxy");
    // What goes wrong with a connection is told by its events.
    lws_set_log_level(0, nullptr);
    void *loops[] = {proactor_};
    lws_context_creation_info info = {};
    info.options = LWS_SERVER_OPTION_PROTON;
    if (begins_with(options.url, "wss:"))
        info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
    info.port = CONTEXT_PORT_NO_LISTEN;
    info.foreign_loops = loops;
    info.pt_serv_buf_size = LWS_PROTON_AMQP_RX;
    info.protocols = protocols_;
    if (!options.ca.empty())
        info.client_ssl_ca_filepath = options.ca.c_str();
    context_ = lws_create_context(&info);
    if (!context_)
        throw std::runtime_error("libwebsockets does not start");
}

Network::~Network() {
    lws_context_destroy(context_);
    // A peer that reads nothing keeps its connection for a while; Proton then leaks it.
    const int64_t end = pn_proactor_now_64() + LWS_PROTON_DRAIN_MS;
    while (lws_proton_held(proactor_) && pn_proactor_now_64() < end) {
        lws_proton_set_timeout(proactor_, LWS_PROTON_DRAIN_MS);
        serve();
    }
    while (pn_event_batch_t *batch = pn_proactor_get(proactor_))
        serve(batch);
    pn_proactor_free(proactor_);
}

void Network::connect(void *context) {
    pn_connection_t *c = pn_connection();
    pn_transport_t *t = pn_transport();
    pn_connection_set_context(c, context);
    pn_connection_set_container(c, "amqp-load");
    pn_sasl_t *sasl = pn_sasl(t);
    if (options_.user.empty()) {
        pn_sasl_allowed_mechs(sasl, "ANONYMOUS");
    } else {
        pn_connection_set_user(c, options_.user.c_str());
        pn_connection_set_password(c, options_.password.c_str());
        pn_sasl_allowed_mechs(sasl, "PLAIN");
        pn_sasl_set_allow_insecure_mechs(sasl, true);
    }
    if (begins_with(options_.url, kTcp)) {
        const std::string rest = options_.url.substr(kTcp.size());
        pn_proactor_connect2(proactor_, c, t, rest.substr(0, rest.find('/')).c_str());
        return;
    }
    lws_proton_amqp_connect_t how = {};
    how.context = context_;
    how.url = options_.url.c_str();
    if (lws_proton_amqp_connect(&how, c, t))
        throw std::runtime_error("cannot connect to " + options_.url);
}

void Network::serve(pn_event_batch_t *batch) {
    while (pn_event_t *event = pn_event_batch_next(batch))
        if (!lws_proton_handle(batch, event))
            handle_(event);
    pn_proactor_done(proactor_, batch);
}

void Network::serve() {
    serve(pn_proactor_wait(proactor_));
}

void Network::set_timeout(double seconds) {
    lws_proton_set_timeout(proactor_, static_cast<pn_millis_t>(seconds * 1000));
}

}  // namespace amqp_load
