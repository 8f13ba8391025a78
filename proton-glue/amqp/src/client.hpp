// SPDX-License-Identifier: MIT
#pragma once

#include <lws_proton_amqp.h>

namespace lws_proton::amqp {

// As lws_proton_amqp_connect(); may throw std::bad_alloc.
int connect(const lws_proton_amqp_connect_t &how, pn_connection_t *connection,
            pn_transport_t *transport);

}  // namespace lws_proton::amqp
