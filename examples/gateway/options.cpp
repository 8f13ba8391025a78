// SPDX-License-Identifier: MIT
#include "options.hpp"

#include "tunnel.hpp"

#include <CLI/CLI.hpp>

#include <libwebsockets.h>
#include <lws_proton_guard.h>

namespace gateway {

namespace {

constexpr int kAmqpPort = 5672;
constexpr int kMaxPort = 65535;
constexpr int kBadUsage = 2;

// 0: it is none.
int parse_port(const std::string &text) {
    if (text.empty() || text.size() > 5 ||
        text.find_first_not_of("0123456789") != std::string::npos)
        return 0;
    const int port = std::stoi(text);
    return port <= kMaxPort ? port : 0;
}

}  // namespace

std::optional<Broker> parse_broker(const std::string &url) {
    const std::string scheme = "amqp://";
    if (url.compare(0, scheme.size(), scheme) != 0)
        return std::nullopt;
    std::string rest = url.substr(scheme.size());
    if (!rest.empty() && rest.back() == '/')
        rest.pop_back();
    Broker broker{"", kAmqpPort, ""};
    if (!rest.empty() && rest.front() == '[') {
        const size_t end = rest.find(']');
        if (end == std::string::npos)
            return std::nullopt;
        broker.host = rest.substr(1, end - 1);
        rest.erase(0, end + 1);
    } else {
        broker.host = rest.substr(0, rest.find(':'));
        rest.erase(0, broker.host.size());
    }
    if (!rest.empty())
        broker.port = rest.front() == ':' ? parse_port(rest.substr(1)) : 0;
    if (broker.host.empty() || broker.host.find('/') != std::string::npos || !broker.port)
        return std::nullopt;
    broker.name = broker.host + ":" + std::to_string(broker.port);
    return broker;
}

std::optional<Options> parse_options(int argc, char **argv, int *status) {
    Options options;
    std::vector<std::string> brokers;
    CLI::App app{"A WebSocket front door for AMQP 1.0 brokers.", "lws-proton-gateway"};
    app.add_option("--listen,--port", options.listen_port, "port for WebSocket, 0 picks a free one")
        ->check(CLI::Range(0, kMaxPort))
        ->capture_default_str();
    app.add_option("--bind", options.listen_host, "address to listen on")->capture_default_str();
    auto *cert =
        app.add_option("--tls-cert", options.tls_cert, "serve wss:// with this chain (PEM)")
            ->check(CLI::ExistingFile);
    auto *key = app.add_option("--tls-key", options.tls_key, "and its private key (PEM)")
                    ->check(CLI::ExistingFile);
    cert->needs(key);
    key->needs(cert);
    auto *status_port = app.add_option("--status-port", options.status_port,
                                       "port for GET /health and /metrics, 0 picks a free one "
                                       "(default: none)")
                            ->check(CLI::Range(0, kMaxPort));
    app.add_option("--status-bind", options.status_host, "and its address")
        ->needs(status_port)
        ->capture_default_str();
    app.add_option("--broker", brokers, "amqp://HOST[:PORT]; several are tried in turn")
        ->required()
        ->check([](const std::string &url) {
            return parse_broker(url) ? "" : "not amqp://HOST[:PORT]: " + url;
        });
    app.add_option("--origin", options.origins,
                   "whose pages may connect, besides those of its own origin, e.g. "
                   "https://example.org; several are allowed; * is everybody's")
        ->check([](const std::string &origin) {
            return lws_proton_is_origin(origin.c_str()) ? "" : "not an origin: " + origin;
        });
    app.add_option("--host", options.hosts,
                   "what it is called, besides localhost, where it listens on loopback, without a "
                   "port; several are allowed")
        ->check([](const std::string &host) {
            const bool is_name = !host.empty() && host.find_first_of("/@ ") == std::string::npos &&
                                 (host[0] == '[' || host.find(':') == std::string::npos);
            return is_name ? "" : "not a name without a port: '" + host + "'";
        });
    app.add_option("--threads", options.threads, "threads")
        ->check(CLI::Range(1, LWS_MAX_SMP))
        ->capture_default_str();
    app.add_option("--max-connections", options.max_connections, "at a time; more are refused")
        ->check(CLI::Range(1u, 1000000u))
        ->capture_default_str();
    app.add_option("--max-per-address", options.max_per_address,
                   "connections and WebSockets of one address, or IPv6 /64, at a time; 0 is no limit")
        ->check(CLI::Range(0u, 1000000u))
        ->capture_default_str();
    app.add_option("--memory-mib", options.memory_mib,
                   "what all WebSockets may take; more are refused; 0 is what --max-connections take")
        ->check(CLI::Range(0u, 1024u * 1024))
        ->capture_default_str();
    app.add_option("--handshake-seconds", options.handshake_seconds,
                   "for TLS and the upgrade, and for a broker to be reached")
        ->check(CLI::Range(1, 600))
        ->capture_default_str();
    app.add_option("--open-seconds", options.open_seconds,
                   "for client and broker to begin AMQP, once a broker is reached")
        ->check(CLI::Range(1, 600))
        ->capture_default_str();
    app.add_option("--idle-seconds", options.idle_seconds,
                   "without a byte of a client, or an answer to a ping; 0 is for ever")
        ->check(CLI::Range(0, 86400))
        ->capture_default_str();
    app.add_option("--drain-seconds", options.drain_seconds,
                   "how long connections may go on after SIGTERM")
        ->check(CLI::Range(0, 86400))
        ->capture_default_str();
    app.footer("A WebSocket, with its connections to a client and a broker, takes at most " +
               std::to_string(Tunnel::kMost / 1024) + " KiB.");
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError &error) {
        *status = app.exit(error) ? kBadUsage : 0;
        return std::nullopt;
    }
    for (const std::string &url : brokers)
        options.brokers.push_back(*parse_broker(url));
    return options;
}

}  // namespace gateway
