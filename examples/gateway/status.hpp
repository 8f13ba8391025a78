// SPDX-License-Identifier: MIT
#pragma once

#include <libwebsockets.h>

namespace gateway {

// How it goes, for who runs it, by HTTP: of a vhost with a port of its own, whose user is the Site.
extern const lws_protocols kStatusProtocols[];

}  // namespace gateway
