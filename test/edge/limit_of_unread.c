// SPDX-License-Identifier: MIT
//
// Preloaded, it is a Proton with a limit of unread deliveries: it says what a program sets.
#include <proton/transport.h>

#include <stdio.h>

void pn_transport_set_max_buffered_delivery_bytes(pn_transport_t *transport, size_t limit);

void pn_transport_set_max_buffered_delivery_bytes(pn_transport_t *transport, size_t limit) {
    (void)transport;
    fprintf(stderr, "limit of unread bytes: %zu\n", limit);
}
