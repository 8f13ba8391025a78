// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <sys/types.h>

namespace ws_load {

// The processor time, user's and system's, that a process has used so far, with all its threads: ns.
// 0 is this process. Throws a Failure if there is none.
uint64_t cpu_ns(pid_t pid);

// The same of all that ran on this machine, and of the machine that it is part of, if that took
// processors away from it. In steps of a clock tick, 10 ms.
uint64_t machine_cpu_ns();

// Memory, in KiB: now, and the most that it had.
struct Memory {
    uint64_t resident = 0;
    uint64_t peak = 0;
};
Memory memory(pid_t pid);

}  // namespace ws_load
