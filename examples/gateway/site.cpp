// SPDX-License-Identifier: MIT
#include "site.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>

namespace gateway {

unsigned Site::admit(size_t most_memory) noexcept {
    std::atomic<uint64_t> *refused = nullptr;
    const uint64_t budget = uint64_t{options.memory_mib} * 1024 * 1024;
    const uint64_t before = open.fetch_add(1);
    if (draining)
        refused = &refused_draining;
    else if (before >= options.max_connections)
        refused = &refused_full;
    else if (budget && (before + 1) * most_memory > budget)
        refused = &refused_memory;
    if (!refused)
        return 0;
    open--;
    ++*refused;
    return HTTP_STATUS_SERVICE_UNAVAILABLE;
}

size_t Site::metrics(char *text, size_t room) const noexcept {
    const struct {
        const char *name, *type, *help;
        uint64_t value;
        const char *label;
    } rows[] = {
        {"connections", "gauge", "WebSockets that are open.", open, ""},
        {"connections_total", "counter", "WebSockets that were accepted.", accepted, ""},
        {"refused_total", "counter", "Requests and connections that were refused.", refused_origin,
         "{reason=\"origin\"}"},
        {"refused_total", "", "", refused_host, "{reason=\"host\"}"},
        {"refused_total", "", "", refused_full, "{reason=\"full\"}"},
        {"refused_total", "", "", refused_memory, "{reason=\"memory\"}"},
        {"refused_total", "", "", refused_address, "{reason=\"address\"}"},
        {"refused_total", "", "", refused_draining, "{reason=\"draining\"}"},
        {"broker_failures_total", "counter", "Attempts to reach a broker that failed.",
         brokers_failed, ""},
        {"unserved_total", "counter", "WebSockets that no broker was reached for, or answered.",
         unserved, ""},
        {"silent_total", "counter", "WebSockets that were closed since their clients were silent.",
         silent, ""},
        {"received_bytes_total", "counter", "Bytes of AMQP from clients.", bytes_in, ""},
        {"sent_bytes_total", "counter", "Bytes of AMQP to clients.", bytes_out, ""},
        {"draining", "gauge", "1: new connections are refused.", draining, ""},
    };
    size_t length = 0;
    const auto add = [&](const char *format, auto... values) {
        const int n = snprintf(text + length, room - length, format, values...);
        length += std::min(static_cast<size_t>(std::max(n, 0)), room - length - 1);
    };
    for (const auto &row : rows) {
        // One head for all labels of a name.
        if (*row.type)
            add("# HELP lws_proton_gateway_%s %s\n# TYPE lws_proton_gateway_%s %s\n", row.name,
                row.help, row.name, row.type);
        add("lws_proton_gateway_%s%s %llu\n", row.name, row.label,
            static_cast<unsigned long long>(row.value));
    }
    return length;
}

}  // namespace gateway
