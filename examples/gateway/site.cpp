// SPDX-License-Identifier: MIT
#include "site.hpp"

namespace gateway {

std::string Site::metrics() const {
    std::string text;
    const auto add = [&](const char *name, const char *type, const char *help, uint64_t value,
                         const char *label = "") {
        const std::string metric = std::string("lws_proton_gateway_") + name;
        // One head for all labels of a name.
        if (text.find("# TYPE " + metric + " ") == std::string::npos)
            text += "# HELP " + metric + " " + help + "\n# TYPE " + metric + " " + type + "\n";
        text += metric + label + " " + std::to_string(value) + "\n";
    };
    add("connections", "gauge", "WebSockets that are open.", open);
    add("connections_total", "counter", "WebSockets that were accepted.", accepted);
    const char *refused = "Requests that were refused.";
    add("refused_total", "counter", refused, refused_origin, "{reason=\"origin\"}");
    add("refused_total", "counter", refused, refused_host, "{reason=\"host\"}");
    add("refused_total", "counter", refused, refused_full, "{reason=\"full\"}");
    add("refused_total", "counter", refused, refused_draining, "{reason=\"draining\"}");
    add("broker_failures_total", "counter", "Attempts to reach a broker that failed.",
        brokers_failed);
    add("unserved_total", "counter", "WebSockets for which no broker was reached.", unserved);
    add("received_bytes_total", "counter", "Bytes of AMQP from clients.", bytes_in);
    add("sent_bytes_total", "counter", "Bytes of AMQP to clients.", bytes_out);
    add("draining", "gauge", "1: new connections are refused.", draining);
    return text;
}

}  // namespace gateway
