// ws-load: loads a WebSocket server and checks what comes back. See README.md.
//
//   stdout  one JSON object, unless --json names a file for it
//   exit    0, 1 if something went wrong ("ok": false, with "error"), 2 on bad usage
//
// SPDX-License-Identifier: MIT
#include "descriptors.hpp"
#include "failure.hpp"
#include "loads.hpp"
#include "options.hpp"
#include "process_usage.hpp"

#include <nlohmann/json.hpp>

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <thread>

namespace ws_load {

namespace {

using json = nlohmann::ordered_json;

constexpr auto kLook = std::chrono::milliseconds(2);

// Threads that are started later inherit it.
void pin(const std::vector<unsigned> &cpus) {
    if (cpus.empty())
        return;
    cpu_set_t set;
    CPU_ZERO(&set);
    for (const unsigned cpu : cpus)
        CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof(set), &set) < 0)
        throw no_resources("cannot run on the processors that --cpu names");
}

Messages make_messages(const Options &o) {
    const Framing framing = o.raw       ? Framing::raw
                            : o.anew    ? Framing::anew
                            : o.deflate ? Framing::deflated
                                        : Framing::websocket;
    return {framing, o.text, o.size, o.in_flight};
}

// What was used up to a moment.
struct Usage {
    uint64_t time = 0, client = 0, server = 0, machine = 0;  // ns

    static Usage now(const Options &o) {
        return {now_ns(), cpu_ns(0), o.server_pid ? cpu_ns(o.server_pid) : 0, machine_cpu_ns()};
    }
};

class Run {
public:
    explicit Run(const Options &options)
        : options_(options), messages_(make_messages(options)),
          task_{options_, messages_,
                {options_.port, options_.tls ? tls_context() : nullptr, &messages_}} {
        // Shares of what cannot be divided evenly: the first ones have one more.
        const auto part = [&](uint64_t all, size_t i) {
            return all / options_.threads + (i < all % options_.threads ? 1 : 0);
        };
        size_t first = 0;
        for (size_t i = 0; i < options_.threads; ++i) {
            Share share{};
            share.first = first;
            share.connections = part(options_.connections, i);
            share.idle = part(options_.idle, i);
            share.messages = options_.messages ? part(options_.messages, i) : UINT64_MAX;
            share.rate = options_.rate * static_cast<double>(share.connections) /
                         static_cast<double>(options_.connections);
            first += share.connections + share.idle;
            workers_.push_back(make_load(task_, share));
        }
    }

    // The result; false in "ok" if something went wrong.
    json go() {
        std::vector<std::thread> threads;
        for (auto &worker : workers_)
            threads.emplace_back([&worker] { worker->run(); });
        Usage begin, end;
        Memory memory;
        wait_until([](const Worker &w) { return w.opened(); });
        if (!options_.messages) {
            enter(Phase::warming);
            wait(options_.warm_up);
        }
        try {
            begin = Usage::now(options_);
            enter(Phase::measuring);
            if (options_.messages)
                wait_until([](const Worker &w) { return w.ended(); });
            else
                wait(options_.seconds);
            end = Usage::now(options_);
            if (options_.server_pid)
                memory = ws_load::memory(options_.server_pid);
        } catch (const Failure &failure) {
            failed_ = {failure.kind(), failure.what()};
        }
        enter(Phase::draining);
        for (std::thread &thread : threads)
            thread.join();
        return result(begin, end, memory);
    }

private:
    void enter(Phase phase) {
        task_.phase = phase;
        for (auto &worker : workers_)
            worker->wake();
    }

    bool any_failed() const {
        return std::any_of(workers_.begin(), workers_.end(),
                           [](const auto &w) { return w->ended() && w->failed(); });
    }

    template <typename Condition>
    void wait_until(Condition condition) const {
        while (!any_failed() && !std::all_of(workers_.begin(), workers_.end(),
                                             [&](const auto &w) { return condition(*w); }))
            std::this_thread::sleep_for(kLook);
    }

    void wait(double seconds) const {
        const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
        while (!any_failed() && std::chrono::steady_clock::now() < end)
            std::this_thread::sleep_for(std::min<std::chrono::duration<double>>(
                end - std::chrono::steady_clock::now(), std::chrono::milliseconds(100)));
    }

    json result(const Usage &begin, const Usage &end, const Memory &memory) const;
    json latency() const;

    const Options options_;
    const Messages messages_;
    Task task_;
    std::vector<std::unique_ptr<Worker>> workers_;
    std::optional<Worker::Failed> failed_;
};

json Run::latency() const {
    constexpr double kPercentiles[] = {50, 75, 90, 95, 99, 99.5, 99.9, 99.99, 100};
    Histogram all;
    for (const auto &worker : workers_)
        all.add(worker->latency());
    json percentiles = json::object();
    for (const double p : kPercentiles) {
        char name[16];
        snprintf(name, sizeof(name), "%g", p);
        percentiles[name] = static_cast<double>(all.percentile(p)) / 1000;
    }
    return percentiles;
}

json Run::result(const Usage &begin, const Usage &end, const Memory &memory) const {
    std::optional<Worker::Failed> failed = failed_;
    uint64_t count = 0;
    for (const auto &worker : workers_) {
        if (worker->failed())
            failed = worker->failed();
        count += worker->count();
    }
    if (failed)
        return {{"ok", false}, {"error", {{"kind", failed->kind}, {"text", failed->text}}}};

    const double seconds = static_cast<double>(end.time - begin.time) / 1e9;
    const auto cpu = [&](uint64_t from, uint64_t to) -> json {
        const double used = static_cast<double>(to - from) / 1e9;
        return {{"cpu_seconds", used},
                {"cpu_share", used / seconds},
                {"cpu_us_per_message", count ? used * 1e6 / static_cast<double>(count) : 0}};
    };
    json out = {{"ok", true},
                {"seconds", seconds},
                {"messages", count},
                {"messages_per_second", static_cast<double>(count) / seconds},
                {"wire_bytes_per_message", messages_.wire_size()},
                {"latency_corrected", options_.rate > 0},
                {"latency_us", latency()},
                {"client", cpu(begin.client, end.client)}};
    out["client"]["threads"] = options_.threads;
    if (options_.server_pid) {
        out["server"] = cpu(begin.server, end.server);
        out["server"]["rss_kib"] = memory.resident;
        out["server"]["peak_rss_kib"] = memory.peak;
        // What disturbs: of one processor, as the shares above.
        const uint64_t ours = end.client - begin.client + end.server - begin.server;
        const uint64_t all = end.machine - begin.machine;
        out["others"]["cpu_share"] =
            static_cast<double>(all - std::min(all, ours)) / 1e9 / seconds;
    }
    return out;
}

json run(const Options &options) {
    try {
        pin(options.cpus);
        allow_descriptors(options.connections + options.idle);
        return Run(options).go();
    } catch (const Failure &failure) {
        return {{"ok", false}, {"error", {{"kind", failure.kind()}, {"text", failure.what()}}}};
    }
}

}  // namespace

}  // namespace ws_load

int main(int argc, char **argv) {
    const ws_load::Options options = ws_load::parse_options(argc, argv);
    const auto result = ws_load::run(options);
    if (options.json.empty()) {
        std::cout << result.dump(2) << std::endl;
    } else {
        std::ofstream file(options.json);
        file << result.dump(2) << std::endl;
        if (!file) {
            std::cerr << "ws-load: cannot write " << options.json << "\n";
            return 1;
        }
    }
    return result["ok"] ? 0 : 1;
}
