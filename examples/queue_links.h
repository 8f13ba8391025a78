/*
 * The links of AMQP connections, each with its place at the queue that it names
 *
 * SPDX-License-Identifier: MIT
 *
 * A link whose peer sends puts into the queue, and is given credit while there
 * is room; one whose peer receives takes from it, for the credit that it has.
 * All of this is called in batches of the link's connection.
 */

#if !defined(QUEUE_LINKS_H)
#define QUEUE_LINKS_H

#include <proton/types.h>

/* for PN_LINK_REMOTE_OPEN: takes a place for it, or refuses the link */
void
link_enter(pn_link_t *link);

/* for PN_LINK_FLOW, and after a wake: moves what can be moved */
void
link_go_on(pn_link_t *link);

/* for PN_DELIVERY */
void
link_delivery(pn_link_t *link, pn_delivery_t *delivery);

/* when it ends, once or more: what its peer had not settled is queued again */
void
link_leave(pn_link_t *link);

#endif
