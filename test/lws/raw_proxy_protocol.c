/*
 * SPDX-License-Identifier: MIT
 *
 * lws's raw proxy protocol, as its minimal-raw-proxy example has it: compiled into the program.
 */

#include <libwebsockets.h>
#include <stdlib.h>
#include <string.h>

#define LWS_PLUGIN_STATIC
#include "plugins/raw-proxy/protocol_lws_raw_proxy.c"

const struct lws_protocols raw_proxy_protocols[] = {
	LWS_PLUGIN_PROTOCOL_RAW_PROXY,
	LWS_PROTOCOL_LIST_TERM
};
