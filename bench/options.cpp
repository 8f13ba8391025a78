// SPDX-License-Identifier: MIT
#include "options.hpp"

#include "messages.hpp"

#include <CLI/CLI.hpp>

#include <cstdlib>
#include <map>

namespace ws_load {

namespace {

constexpr int kBadUsage = 2;

void check(const Options &o) {
    const auto want = [](bool good, const char *text) {
        if (!good)
            throw CLI::ValidationError(text);
    };
    want(!o.anew || o.deflate, "--anew is for --deflate");
    want(!o.raw || !(o.deflate || o.tls || o.text), "--raw is without --tls, --deflate and --text");
    want(!o.raw || o.mode == Mode::echo, "--raw is for --mode echo");
    want(o.mode == Mode::echo || (!o.rate && !o.idle), "--rate and --idle are for --mode echo");
    want(o.mode != Mode::broadcast || o.threads == 1, "--mode broadcast is for one thread");
    want(!o.rate || !o.messages, "--rate is for a time, not for --messages");
    want(o.threads <= o.connections, "there are more --threads than --connections");
}

}  // namespace

Options parse_options(int argc, char **argv) {
    Options o;
    CLI::App app{"Loads a WebSocket server on 127.0.0.1, checks what comes back, and tells in JSON how "
                 "long it took."};
    const std::map<std::string, Mode> modes = {
        {"echo", Mode::echo}, {"broadcast", Mode::broadcast}, {"setup", Mode::setup}};
    const auto most = [](double n) { return CLI::Range(1.0, n); };

    app.add_option("--port", o.port, "the server's port")->required()->check(CLI::Range(1, 65535));
    app.add_option("--mode", o.mode,
                   "echo: each message comes back; broadcast: what the first connection sends comes "
                   "to all; setup: connections are opened and closed")
        ->transform(CLI::CheckedTransformer(modes));
    app.add_option("--connections", o.connections, "at a time")->check(most(1e6));
    app.add_option("--in-flight", o.in_flight, "messages of a connection that are under way")
        ->check(most(1e4));
    app.add_option("--size", o.size, "bytes of a message")
        ->check(CLI::Range(static_cast<double>(Messages::kSmallest), 1e6));
    app.add_option("--rate", o.rate,
                   "messages a second, sent when they are due whatever has come back; latency counts "
                   "from when they are due")
        ->check(most(1e8));
    app.add_option("--idle", o.idle, "further connections, which send nothing")->check(most(1e6));
    app.add_flag("--tls", o.tls, "wss; the certificate is not checked");
    app.add_flag("--deflate", o.deflate, "permessage-deflate");
    app.add_flag("--anew", o.anew,
                 "with --deflate: the server is to deflate each message without the ones before it "
                 "(server_no_context_takeover); what comes again is then not inflated again");
    app.add_flag("--text", o.text, "text messages");
    app.add_flag("--raw", o.raw, "the same bytes with no handshake, echoed as they are");
    app.add_option("--warm-up", o.warm_up, "seconds before it is measured")
        ->check(CLI::Range(0.0, 60.0));
    app.add_option("--seconds", o.seconds, "for how long it is measured")
        ->check(CLI::Range(0.01, 3600.0));
    app.add_option("--messages", o.messages,
                   "so many messages (connections, with --mode setup), with no warm-up and no limit "
                   "of time")
        ->check(most(1e12));
    app.add_option("--patience", o.patience, "seconds without any answer that are too many")
        ->check(CLI::Range(0.1, 600.0));
    app.add_option("--threads", o.threads, "that share the connections")->check(most(64));
    app.add_option("--cpu", o.cpus, "run on these processors, such as 0,1")->delimiter(',');
    app.add_option("--server-pid", o.server_pid, "measure this process as well")->check(most(1e9));
    app.add_option("--json", o.json, "the file for the result (default: standard output)");
    try {
        app.parse(argc, argv);
        check(o);
    } catch (const CLI::ParseError &error) {
        std::exit(app.exit(error) ? kBadUsage : 0);
    }
    return o;
}

}  // namespace ws_load
