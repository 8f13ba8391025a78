// SPDX-License-Identifier: MIT
#pragma once

namespace lws_proton {

// What an accept() of Proton's comes to when it fails.
//
// Proton 0.37 to 0.40 cannot close a listener whose accept() has failed with EMFILE or ENFILE: it
// counts such failures wrong, and aborts the process (patches/qpid-proton mends the count). Until
// then it leaves the listening socket alone until it has closed a descriptor itself, which never
// happens if others hold them. Nothing of that shows outside of Proton, and no call of Proton's
// avoids it. So Proton's library is given another accept() (its entry in the library's table of
// imported functions), which never returns these two:
//
//  - Proton accepts in a loop. After the first connection of a round a failure ends the round, as
//    if nobody else were waiting.
//  - A failure at the first is ENOBUFS. Of any error but these two Proton closes the listener in
//    good order, with PN_LISTENER_CLOSE, and who listens can do it again later.
//
// That goes for all listeners of the process, an application's own too.

// Once a process, before Proton first accepts. Any thread. False: Proton's library has no such
// entry, so it keeps its own accept() (it is linked statically, say).
bool replace_protons_accept() noexcept;

// This thread has a listener's batch: Proton's round is over.
void accept_round_is_over() noexcept;

// EMFILE or ENFILE, if an accept() has failed so since the last call, or 0. Any thread.
int descriptors_were_missing() noexcept;

}  // namespace lws_proton
