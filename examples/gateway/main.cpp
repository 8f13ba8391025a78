// SPDX-License-Identifier: MIT
//
// lws-proton-gateway: a WebSocket front door for AMQP 1.0 brokers that have none. It passes bytes
// between a WebSocket and a connection to a broker, and reads of each side only as much as the
// other takes.
//
// With --status-port, and on that port only:
//
//   GET /health     200, or 503 while it drains
//   GET /metrics    for Prometheus
//
//   stdout  exactly one line, "ready: ws://HOST:PORT/" (wss:// with a certificate), and then
//           " http://HOST:PORT/" with a status port, once it serves
//   stderr  a line for each connection that has ended, and errors
//   exit    0 after SIGINT or SIGTERM, once its connections have ended or --drain-seconds are over,
//           or after a second signal; 1 when it cannot serve; 2 on bad usage
#include "guard.hpp"
#include "status.hpp"
#include "tunnel.hpp"

#include <lws_proton.h>
#include <lws_proton_log.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <new>
#include <thread>
#include <unistd.h>

using namespace gateway;

namespace {

constexpr int kFailed = 1;
constexpr const char *kNoMemory = "lws-proton-gateway: it cannot serve: out of memory\n";
// How long peers have to end what is under way, once --drain-seconds are over.
constexpr int kEndMs = 5000;

// Vhosts, besides "default".
constexpr const char *kStatus = "status";
constexpr const char *kBrokers = "brokers";

std::string url(lws_context *context, const char *scheme, const std::string &host,
                const char *vhost) {
    const int port = lws_get_vhost_listen_port(lws_get_vhost_by_name(context, vhost));
    // A literal of IPv6 has colons of its own.
    const std::string name = host == "127.0.0.1"                   ? "localhost"
                             : host.find(':') != std::string::npos ? "[" + host + "]"
                                                                   : host;
    return std::string(scheme) + "://" + name + ":" + std::to_string(port) + "/";
}

// The vhost of the connections to brokers, which are no client's.
bool prepare_brokers(Site &site, lws_context *context) {
    lws_context_creation_info info = {};
    info.vhost_name = kBrokers;
    info.port = CONTEXT_PORT_NO_LISTEN;
    info.protocols = kBrokerProtocols;
    info.user = &site;
    info.connect_timeout_secs = site.options.handshake_seconds;
    site.brokers = lws_create_vhost(context, &info);
    return site.brokers;
}

bool serve_status(Site &site, lws_context *context, const Guard &guard) {
    lws_context_creation_info info = {};
    info.options = LWS_SERVER_OPTION_FAIL_UPON_UNABLE_TO_BIND;
    info.vhost_name = kStatus;
    info.port = site.options.status_port;
    info.iface = site.options.status_host.c_str();
    info.protocols = kStatusProtocols;
    info.user = &site;
    info.timeout_secs = site.options.handshake_seconds;
    lws_vhost *vhost = lws_create_vhost(context, &info);
    if (vhost)
        lws_proton_vhost_guard(vhost, guard.get());
    return vhost;
}

bool signalled_within_a_moment(const sigset_t &signals) {
    const timespec a_moment = {0, 20 * 1000 * 1000};
    return sigtimedwait(&signals, nullptr, &a_moment) > 0;
}

// Connections go on for a while, then the rest is ended. A second signal ends it at once.
void drain(Site &site, lws_context *context, const sigset_t &signals) {
    lws_proton_loop_t *loop = lws_proton_loop_of(context);
    site.draining = true;
    const lws_usec_t end =
        lws_now_usecs() + static_cast<lws_usec_t>(site.options.drain_seconds) * LWS_US_PER_SEC;
    bool again = false;
    while (site.open && lws_now_usecs() < end && !again)
        again = signalled_within_a_moment(signals);
    lws_proton_loop_drain(loop, again ? 0 : kEndMs);
    while (!lws_proton_loop_drained(loop))
        if (signalled_within_a_moment(signals))
            lws_proton_loop_drain(loop, 0);
}

// The threads of the service. They end with it, also if the rest of the program cannot begin.
class Threads {
public:
    Threads(lws_context *context, unsigned count) : context_(context) {
        threads_.reserve(count);
        try {
            for (unsigned tsi = 0; tsi < count; tsi++)
                threads_.emplace_back(&Threads::serve, this, static_cast<int>(tsi));
        } catch (...) {
            end();
            throw;
        }
    }
    ~Threads() { end(); }
    Threads(const Threads &) = delete;
    Threads &operator=(const Threads &) = delete;

    // One of them cannot go on.
    bool failed() const noexcept { return failed_; }

private:
    void serve(int tsi) noexcept {
        while (!stop_ && !failed_)
            if (lws_service_tsi(context_, 0, tsi) < 0 && !stop_) {
                failed_ = true;
                kill(getpid(), SIGTERM);
            }
    }

    void end() noexcept {
        stop_ = true;
        lws_cancel_service(context_);
        for (std::thread &thread : threads_)
            thread.join();
    }

    lws_context *const context_;
    std::atomic<bool> stop_{false}, failed_{false};
    std::vector<std::thread> threads_;
};

int serve(Site &site, lws_context *context, const sigset_t &signals) {
    const Options &options = site.options;
    std::string ready =
        url(context, options.tls_cert.empty() ? "ws" : "wss", options.listen_host, "default");
    if (options.status_port >= 0)
        ready += " " + url(context, "http", options.status_host, kStatus);
    const Threads threads(context, options.threads);
    printf("ready: %s\n", ready.c_str());
    fflush(stdout);
    int signal;
    sigwait(&signals, &signal);
    if (!threads.failed())
        drain(site, context, signals);
    return threads.failed() ? kFailed : 0;
}

// The context, which ends in any case before what its vhosts have for a user.
struct FreeContext {
    void operator()(lws_context *context) const noexcept { lws_context_destroy(context); }
};

// Until main() can catch what is thrown: the options' library allocates before it.
[[gnu::constructor(101)]] void end_without_memory() {
    std::set_new_handler([] {
        fputs(kNoMemory, stderr);
        _exit(kFailed);
    });
}

int run(int argc, char **argv) {
    int status;
    const std::optional<Options> options = parse_options(argc, argv, &status);
    if (!options)
        return status;

    // Before any thread is made: they all inherit it.
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);

    Site site(*options);
    lws_set_log_level(LLL_ERR | LLL_WARN | LLL_USER, lws_proton_log);
    lws_proton_raise_descriptor_limit(LWS_PROTON_DESCRIPTORS);
    lws_context_creation_info info = {};
    info.options = LWS_SERVER_OPTION_PROTON | LWS_SERVER_OPTION_FAIL_UPON_UNABLE_TO_BIND;
    info.port = options->listen_port;
    info.iface = options->listen_host.c_str();
    info.count_threads = options->threads;
    info.protocols = kProtocols;
    info.pt_serv_buf_size = Pipe::kPiece;
    info.user = &site;
    info.timeout_secs = options->handshake_seconds;
    info.connect_timeout_secs = options->handshake_seconds;
    if (!options->tls_cert.empty()) {
        info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
        info.ssl_cert_filepath = options->tls_cert.c_str();
        info.ssl_private_key_filepath = options->tls_key.c_str();
    }
    // lws would go to the brokers through it.
    unsetenv("http_proxy");
    const Guard guard(*options, options->listen_host), status_guard(*options, options->status_host);
    const std::unique_ptr<lws_context, FreeContext> context(lws_create_context(&info));
    if (context)
        lws_proton_vhost_guard(lws_get_vhost_by_name(context.get(), "default"), guard.get());
    if (!context || !prepare_brokers(site, context.get()) ||
        (options->status_port >= 0 && !serve_status(site, context.get(), status_guard))) {
        fprintf(stderr, "lws-proton-gateway: it cannot serve: see above\n");
        return kFailed;
    }
    // One descriptor for the client, one for the broker.
    fprintf(stderr, "lws-proton-gateway: room for %zu connections\n",
            lws_proton_free_descriptors() / 2);
    return serve(site, context.get(), signals);
}

}  // namespace

int main(int argc, char **argv) {
    std::set_new_handler(nullptr);
    try {
        return run(argc, argv);
    } catch (const std::bad_alloc &) {
        fputs(kNoMemory, stderr);
    } catch (const std::exception &error) {
        fprintf(stderr, "lws-proton-gateway: it cannot serve: %s\n", error.what());
    }
    return kFailed;
}
