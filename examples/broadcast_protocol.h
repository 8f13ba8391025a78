/*
 * A WebSocket broadcast for libwebsockets, with flow control and bounded memory
 *
 * SPDX-License-Identifier: MIT
 *
 * Every message, of at most BROADCAST_MOST bytes, goes to every client, the one
 * that sent it included, and to all in the same order.  It is held, once, until
 * the last of them has it.  While more than BROADCAST_HELD bytes are held nothing
 * is read from any client: the slowest receiver sets the pace.
 *
 * For one service thread, and without permessage-deflate, which goes on reading
 * what was written when its owner thinks it is done with.
 */

#if !defined(BROADCAST_PROTOCOL_H)
#define BROADCAST_PROTOCOL_H

#include <libwebsockets.h>

#define BROADCAST_MOST	(64 * 1024)
#define BROADCAST_HELD	(1024 * 1024)

/* for lws_context_creation_info.protocols */
extern const struct lws_protocols broadcast_protocols[];

#endif
