// SPDX-License-Identifier: MIT
#include "options.hpp"

#include <CLI/CLI.hpp>

#include <charconv>
#include <cstdlib>
#include <system_error>

namespace amqp_load {

namespace {

constexpr int kBadUsage = 2;
constexpr double kLargest = 1e8;
constexpr const char *kMixed = "mixed";

std::optional<size_t> parse_size(const std::string &size) {
    if (size == kMixed)
        return std::nullopt;
    const char *end = size.data() + size.size();
    size_t bytes = 0;
    const auto [at, error] = std::from_chars(size.data(), end, bytes);
    if (error != std::errc() || at != end || bytes > kLargest)
        throw CLI::ValidationError("--size", "neither mixed nor 0 to 100000000: " + size);
    return bytes;
}

}  // namespace

Options parse_options(int argc, char **argv) {
    Options o;
    CLI::App app{"Sends numbered messages to a queue of an AMQP 1.0 broker, as fast as it takes "
                 "them, receives them from it on a connection of their own, checks their order and "
                 "every byte, and tells in JSON how long it took."};
    const auto most = [](double n) { return CLI::Range(1.0, n); };

    app.add_option("--url", o.url,
                   "amqp://HOST[:PORT], ws://HOST[:PORT][/PATH], or wss:// with the same")
        ->required()
        ->check([](const std::string &url) {
            const std::string scheme = url.substr(0, url.find("://") + 1);
            return scheme == "amqp:" || scheme == "ws:" || scheme == "wss:"
                       ? ""
                       : "neither amqp:// nor ws:// nor wss://: " + url;
        });
    app.add_option("--queue", o.queue, "the address of the queue")->capture_default_str();
    app.add_option("--messages", o.messages, "how many")->check(most(1e12))->capture_default_str();
    app.add_option_function<std::string>(
           "--size", [&](const std::string &size) { o.size = parse_size(size); },
           "bytes of a message, or mixed: up to 10 KB, and 1 MB each hundredth")
        ->default_str(std::to_string(*o.size));
    app.add_option("--largest", o.largest, "each thousandth message has so many bytes")
        ->check(most(kLargest));
    app.add_option("--credit", o.credit, "messages that the receiver has credit for")
        ->check(most(1e6))
        ->capture_default_str();
    app.add_flag("--settled", o.settled, "messages are settled when they are sent");
    app.add_flag("--send", o.send, "send, and receive only with --receive");
    app.add_flag("--receive", o.receive, "receive, and send only with --send");
    app.add_option("--idle", o.idle,
                   "no messages: open so many connections, tell that in JSON, and keep them until "
                   "SIGTERM or SIGINT")
        ->check(most(1e6));
    app.add_option("--ca", o.ca, "trust these certificates (PEM); for wss://")
        ->check(CLI::ExistingFile);
    auto *user = app.add_option("--user", o.user, "who it is, by PLAIN (default: ANONYMOUS)");
    auto *password = app.add_option("--password", o.password, "and the password")->needs(user);
    user->needs(password);
    app.add_option("--patience", o.patience, "seconds without any progress that are too many")
        ->check(CLI::Range(0.1, 600.0))
        ->capture_default_str();
    app.add_option("--server-pid", o.server_pid, "measure this process as well")->check(most(1e9));
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError &error) {
        std::exit(app.exit(error) ? kBadUsage : 0);
    }
    if (!o.send && !o.receive)
        o.send = o.receive = true;
    return o;
}

}  // namespace amqp_load
