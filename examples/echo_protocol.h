/*
 * A WebSocket echo for libwebsockets, with flow control and bounded memory
 *
 * SPDX-License-Identifier: MIT
 *
 * Every message comes back in the kind and order in which it came, whatever its
 * size: pieces of a message are echoed as they arrive, as fragments.  What the
 * peer has not taken yet is held in a queue of 64 KiB; while that is full,
 * nothing is read from the peer.  (Stock lws may pass on more under TLS.)  An idle connection has no queue.
 *
 * Whatever subprotocol the client offers first is accepted, or none.  lws
 * accepts names that stand in the vhost's list of protocols: each new name is
 * entered there before lws looks, until ECHO_MAX_NAMES are known.
 */

#if !defined(ECHO_PROTOCOL_H)
#define ECHO_PROTOCOL_H

#include <libwebsockets.h>

/* what is read, and echoed, at a time */
#define ECHO_PIECE	8192
/* different subprotocols in the life of the program; more are refused */
#define ECHO_MAX_NAMES	32

/*
 * For lws_context_creation_info.protocols and .extensions.  One vhost of one
 * context can use them at a time.  pt_serv_buf_size is to be ECHO_PIECE.
 */
extern const struct lws_protocols echo_protocols[];
extern const struct lws_extension echo_extensions[];

#endif
