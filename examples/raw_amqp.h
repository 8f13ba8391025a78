/*
 * An AMQP 1.0 endpoint over a raw connection: what its peer sends to an address
 * it returns to where the same peer receives from that address.
 *
 * SPDX-License-Identifier: MIT
 *
 * The AMQP is Proton's engine, a pn_connection_driver_t; the bytes are moved
 * here.  All is called in batches of the raw connection.
 */

#if !defined(RAW_AMQP_H)
#define RAW_AMQP_H

#include <proton/event.h>
#include <proton/types.h>

#include <stddef.h>
#include <stdint.h>

struct raw_amqp;

/*
 * For a raw connection that has nobody's buffers, and of which these bytes were
 * read.  NULL: no memory.
 */
struct raw_amqp *
raw_amqp_new(pn_raw_connection_t *raw, const char *first, size_t len);

/*
 * For its events but the last, PN_RAW_CONNECTION_DISCONNECTED; and once at first.
 * It closes the raw connection when AMQP has ended.  Returns when it wants to be
 * called again at the latest (ms of pn_proactor_now_64(); 0: never).
 */
int64_t
raw_amqp_event(struct raw_amqp *amqp, pn_event_type_t type);

/* whether the peer has opened its AMQP connection */
int
raw_amqp_is_open(const struct raw_amqp *amqp);

/* it says goodbye, and ends once the peer has answered that */
void
raw_amqp_close(struct raw_amqp *amqp);

/* with PN_RAW_CONNECTION_DISCONNECTED */
void
raw_amqp_free(struct raw_amqp *amqp);

#endif
